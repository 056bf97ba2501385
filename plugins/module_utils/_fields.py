# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading plain JSON into our types, whichever version wrote it. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def known(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """What *cls*, a dataclass, has fields for: a newer version may tell more, which changes nothing of the rest."""
    names = {one.name for one in fields(cls)}
    return {key: value for key, value in data.items() if key in names}
