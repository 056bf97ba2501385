# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What C(systemctl show) says of a unit. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """The properties that were asked for."""

    values: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Shown:
        """From lines of C(name=value)."""
        return cls(dict(line.split("=", 1) for line in text.splitlines() if "=" in line))

    def __getitem__(self, name: str) -> str:
        """One of them; empty when systemd did not say."""
        return self.values.get(name, "")

    @property
    def there(self) -> bool:
        """Whether systemd knows the unit, also a masked one."""
        return self["LoadState"] not in ("", "not-found")

    @property
    def active(self) -> bool:
        """Whether it is up, or coming up."""
        return self["ActiveState"] in ("active", "reloading", "activating")
