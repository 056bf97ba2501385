# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long the word of one hypervisor may be acted upon on the other. Pure.

The destination is asked to start the guest because the source has given it up. When the destination does not answer,
the source may be told to take the guest back (prefer=source); a call that was on its way to the destination all the
while must not arrive then. So it says until when it may be begun, and the source is not taken back before that is over.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

VALID_S = 45.0
"""So long a call may be on its way after the other hypervisor has answered, seconds."""
FENCED_S = VALID_S + 15.0
"""When nothing was heard of a run for so long, none of its calls is begun any more. The margin is for clocks."""
