# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the source can reach the destination as the copy will, with a verified host key.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding


def reach(move: Move) -> Iterator[Finding]:
    """What the source's own ssh met when it tried. Of a silent destination that is said already."""
    proof = move.site.proofs.get(move.source, {}).get(move.destination)
    if proof is None or proof.ok or move.destination == move.source:
        return
    if proof.code != "SSH_UNREACHABLE" or move.destination not in move.site.unreachable:
        message = f"{move.source} cannot reach {move.destination}, the destination of {move.name}: {proof.message}"
        yield found(proof.code, move.destination, message, proof.remedy)


CHECKS = (reach,)
