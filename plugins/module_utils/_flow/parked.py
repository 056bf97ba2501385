# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what was parked can have its name back.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Parking


def check_free(parkings: Iterable[Parking], code: str) -> None:
    """Raises Refused(*code*) when something else has the name of what is parked: LEFTOVER_PATHS as long as the guest
    runs on, PATH_TAKEN later."""
    for one in parkings:
        if os.path.lexists(one.place) and os.path.lexists(one.parked):
            raise Refused(
                code,
                one.place,
                f"exists on the source, where {one.parked} is to have its name back.",
                "Look what it is and move it away.",
            )
