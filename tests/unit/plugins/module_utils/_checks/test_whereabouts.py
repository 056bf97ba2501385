# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found before there is a move: where a guest is, and whether anybody works on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Site
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.whereabouts import listing
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import (
    UNREADABLE,
    FitFacts,
    HypervisorFacts,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    OTHER_UUID,
    UUID,
    claim,
    fit,
    guest,
    hypervisor,
    lock,
    request,
    site,
    summary,
)


def two(
    c1: HypervisorFacts, c2: HypervisorFacts, c1_guests: tuple[Any, ...] = (), c2_guests: tuple[Any, ...] = ()
) -> Site:
    fits: dict[str, dict[str, FitFacts]] = {"c2": {UUID: fit()}}
    return Site(hypervisors={"c1": c1, "c2": c2}, guests={"c1": c1_guests, "c2": c2_guests}, fits=fits)


NEWER = {"code": "RECORD_NEWER", "message": "it has schema 2.", "remedy": "use 9.1"}
HERE = hypervisor("c1", domains=(summary(),))
SITES: list[tuple[str, Site, tuple[str, ...]]] = [
    (
        "GUEST_NOT_FOUND",
        two(hypervisor("c1", domains=(summary("web2"),)), hypervisor("c2")),
        ("web1", "c1, c2", "web2", "Did you mean"),
    ),
    ("GUEST_NOT_FOUND", two(hypervisor("c1"), hypervisor("c2")), ("web1", "No hypervisor has any guest")),
    ("GUEST_NOT_FOUND", Site(hypervisors={}), ("web1", "'hypervisors' is empty")),
    (
        "HYPERVISOR_UNREACHABLE",
        Site({"c1": hypervisor()}, {"c2": "no route to host"}),
        ("web1", "c2: no route to host"),
    ),
    ("FACTS_MISSING", two(HERE, hypervisor("c2")), ("web1",)),
    (
        "GUEST_ON_TWO_HOSTS",
        two(HERE, hypervisor("c2", domains=(summary(),)), (guest(),), (guest(),)),
        ("web1", UUID, "c1 and on c2"),
    ),
    (
        "GUEST_ON_TWO_HOSTS",
        two(HERE, hypervisor("c2", domains=(summary("web1-old"),)), (guest(),)),
        ("web1", UUID, "c1 and on c2"),
    ),
    (
        "GUEST_ON_TWO_HOSTS",
        two(HERE, hypervisor("c2"), (guest(),), (guest("web1", OTHER_UUID),)),
        ("web1", f"{UUID} on c1", f"{OTHER_UUID} on c2"),
    ),
    (
        "GUEST_ON_TWO_HOSTS",
        two(HERE, replace(HERE, hostname="c2"), (guest(),), (guest(),)),
        ("web1", "one machine", "host-uuid-of-c1"),
    ),
    ("BUSY", two(replace(HERE, locks=(lock(),)), hypervisor("c2"), (guest(),)), ("web1", "root@control", "2026-01-01")),
    ("BUSY", two(HERE, hypervisor("c2", locks=(lock(),)), (guest(),)), ("web1", "on c2")),
    (
        "MIGRATION_OPEN",
        two(replace(HERE, claims=(claim(role="source", peer="c2", status="migrating"),)), hypervisor("c2"), (guest(),)),
        ("web1", "20261121-aaaa", "migrating on c1", "c2"),
    ),
    (
        "MIGRATION_OPEN",
        two(
            replace(HERE, claims=(claim(role="source", peer="c2", status="migrating", operation="live_migrate"),)),
            hypervisor("c2"),
            (guest(),),
        ),
        ("web1", "migrating on c1", "kvmops.mobility.recover"),
    ),
    (
        "LOCK_UNREADABLE",
        two(HERE, hypervisor("c2", locks=(lock(migration="", owner=""),)), (guest(),)),
        ("web1 on c2", f"locks/{UUID}.json", f"on c2: rm /var/lib/kvmops/locks/{UUID}.json"),
    ),
    (
        "RECORD_NEWER",
        two(replace(HERE, claims=(claim(role="", status=UNREADABLE, problem=NEWER),)), hypervisor("c2"), (guest(),)),
        ("web1: migration 20261121-aaaa on c1", "schema 2", "use 9.1"),
    ),
]


@pytest.mark.parametrize(
    ("code", "where", "words"), SITES, ids=[f"{one[0]}-{number}" for number, one in enumerate(SITES)]
)
def test_whereabouts(code: str, where: Site, words: tuple[str, ...]) -> None:
    (only,) = plan(request(), where, lambda: "id-0").guests
    assert [finding.code for finding in only.findings] == [code]
    assert only.migration is None
    for word in words:
        assert word in only.findings[0].line()
    assert only.findings[0].remedy


def test_what_a_migration_of_another_holds_is_told_to_be_unknown() -> None:
    torn = claim(uuid=OTHER_UUID, name="", status=UNREADABLE, problem=NEWER)
    where = site()
    there = replace(where.hypervisors["c2"], claims=(torn,))
    (only,) = plan(request(), replace(where, hypervisors={**where.hypervisors, "c2": there}), lambda: "id-0").guests
    assert only.migration is not None
    (told,) = (one for one in only.findings if one.code == "CLAIM_UNKNOWN")
    assert (told.subject, told.remedy, told.blocks) == ("c2", "use 9.1", False)
    for word in ("20261121-aaaa", "RECORD_NEWER: it has schema 2.", f"{torn.memory_mib} MiB"):
        assert word in told.message


def test_a_guest_elsewhere_is_not_blocked_by_a_silent_hypervisor() -> None:
    (only,) = plan(request(), site(unreachable={"c9": "down"}), lambda: "id-0").guests
    assert only.migration is not None


def test_a_long_list_of_names_is_cut() -> None:
    assert listing([f"g{number}" for number in range(23)]).endswith("g19 and 3 more")
