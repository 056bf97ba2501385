# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld: rich rules of the default zone; those of ours have a priority that nobody else would choose. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re

from ansible_collections.kvmops.mobility.plugins.module_utils._firewall.rules import Rule, matched

STATE = ("firewall-cmd", "--state")
"""Ends with 0 where it runs."""
LIST = ("firewall-cmd", "--permanent", "--list-rich-rules")
LIST_NOW = ("firewall-cmd", "--list-rich-rules")
_PRIORITY = "-4915"
_LINE = re.compile(
    rf'rule priority="{_PRIORITY}" family="ipv[46]" source address="(?P<source>\S+)" '
    r'port port="(?P<first>\d+)(?:-(?P<last>\d+))?" protocol="tcp" accept'
)


def held(listed: str) -> tuple[Rule, ...]:
    """The rules of ours, from what C(--list-rich-rules) prints."""
    return matched(_LINE, listed)


def orders(add: tuple[Rule, ...], remove: tuple[Rule, ...], *, permanent: bool) -> tuple[tuple[str, ...], ...]:
    """The commands, for what lasts or for what filters now: a reload would lose what others changed at run time."""
    program = ("firewall-cmd", "--quiet", *(("--permanent",) if permanent else ()))
    return (
        *((*program, f"--add-rich-rule={words(one)}") for one in add),
        *((*program, f"--remove-rich-rule={words(one)}") for one in remove),
    )


def words(rule: Rule) -> str:
    """A rule as firewalld writes it."""
    ports = f'port port="{rule.ports.joined("-")}" protocol="tcp"'
    return f'rule priority="{_PRIORITY}" family="{rule.family}" source address="{rule.source}" {ports} accept'
