# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ufw: rules of ours carry a comment. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re

from ansible_collections.kvmops.mobility.plugins.module_utils._firewall.rules import Rule, matched

STATUS = ("ufw", "status")
"""Its first line is C(Status: active) where it is on."""
SHOW = ("ufw", "show", "added")
_OURS = "kvmops.mobility"
_LINE = re.compile(
    rf"ufw allow (?:in )?from (?P<source>\S+) to any port (?P<first>\d+)(?::(?P<last>\d+))? proto tcp comment '{_OURS}'"
)


def active(status: str) -> bool:
    """Whether it filters, by what it says of itself."""
    return status.partition("\n")[0].strip() == "Status: active"


def held(added: str) -> tuple[Rule, ...]:
    """The rules of ours, from what C(ufw show added) prints."""
    return matched(_LINE, added)


def orders(add: tuple[Rule, ...], remove: tuple[Rule, ...]) -> tuple[tuple[str, ...], ...]:
    """The commands; what is new comes first, so that a peer of both is not shut out in between."""
    return (
        *(("ufw", *_words(one), "comment", _OURS) for one in add),
        *(("ufw", "delete", *_words(one)) for one in remove),
    )


def _words(rule: Rule) -> tuple[str, ...]:
    return ("allow", "proto", "tcp", "from", rule.source, "to", "any", "port", rule.ports.joined(":"))
