# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check says.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any


class Severity(enum.Enum):
    """How much a finding weighs: C(block) stops the move before anything was changed."""

    BLOCK = "block"
    WARN = "warn"


@dataclass(frozen=True)
class Finding:
    """One thing a check found.

    *code* is listed in the guide, *subject* names the guest, disk or hypervisor it is about,
    *message* says what is wrong and what would be allowed, *remedy* what the operator can do.
    """

    code: str
    subject: str
    message: str
    remedy: str
    severity: Severity = Severity.BLOCK

    @property
    def blocks(self) -> bool:
        """Whether the move must not start."""
        return self.severity is Severity.BLOCK

    def line(self) -> str:
        """The finding as one line for an operator."""
        return f"{self.code}: {self.subject}: {self.message} {self.remedy}"

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "severity": self.severity.value}
