# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to say of a code: what it means, and what to do about it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Severity


@dataclass(frozen=True)
class CodeDoc:
    """One code of the guide."""

    code: str
    severity: Severity
    meaning: str
    remedy: str


def block(code: str, meaning: str, remedy: str) -> CodeDoc:
    return CodeDoc(code, Severity.BLOCK, meaning, remedy)


def warn(code: str, meaning: str, remedy: str) -> CodeDoc:
    return CodeDoc(code, Severity.WARN, meaning, remedy)


AGAIN = "then run again"
NOT_YET = "It cannot be carried yet"
