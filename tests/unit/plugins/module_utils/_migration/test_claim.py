# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Capacity, ClaimRule
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import (
    COPY_MARGIN_BYTES,
    Amount,
    Resource,
    ResourceFit,
    fits,
    free,
    free_memory_mib,
    needed_bytes,
    shortage,
    usage,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import HypervisorFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import GIB, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    OTHER_UUID,
    THIRD_UUID,
    UUID,
    claim,
    hypervisor,
    request,
    site,
    summary,
)

KILO = ClaimRule.KILO
PLACEMENT = ClaimRule.PLACEMENT


@pytest.mark.parametrize(
    ("total", "ratio", "reserved", "used", "rule", "expected"),
    [
        pytest.param(257763, 1.5, 512, 334848, KILO, 51796.5, id="memory of a Kilo log"),
        pytest.param(199, 16, 0, 1960, KILO, 1224, id="disk of a Kilo log"),
        pytest.param(32, 16, 0, 172, KILO, 340, id="vCPUs of a Kilo log"),
        pytest.param(20, 4, 0, 4, KILO, 76, id="vCPUs of a Newton log"),
        pytest.param(257763, 1.5, 512, 334848, PLACEMENT, 51028.5, id="the same memory by placement"),
        pytest.param(32, 4.0, 2, 100, PLACEMENT, 20, id="reserved vCPUs"),
        pytest.param(512, 1.0, 1024, 0, PLACEMENT, 0, id="more reserved than there is"),
        pytest.param(10, 1.0, 0, 12, PLACEMENT, -2, id="overcommitted"),
    ],
)
def test_free(total: float, ratio: float, reserved: float, used: float, rule: ClaimRule, expected: float) -> None:
    assert free(total, ratio, reserved, used, rule) == expected


@pytest.mark.parametrize(
    ("resource", "ask", "total", "ratio", "used"),
    [
        (Resource.MEMORY, 8192, 257763, 1.5, 334848),
        (Resource.DISK, 80, 199, 16, 1960),
        (Resource.VCPUS, 4, 32, 16, 172),
        (Resource.VCPUS, 1, 20, 4, 4),
    ],
)
def test_the_logged_claims_fit(resource: Resource, ask: float, total: float, ratio: float, used: float) -> None:
    assert ResourceFit(resource, ask, total, ratio, 0, used, KILO).fits


def test_formula_shows_how_it_was_counted() -> None:
    kilo = ResourceFit(Resource.MEMORY, 8192, 257763, 1.5, 512, 334848, KILO)
    placement = ResourceFit(Resource.MEMORY, 8192, 257763, 1.5, 512, 334848, PLACEMENT)
    assert kilo.formula() == "257763 x 1.5 - 334848 used = 51796.5"
    assert placement.formula() == "(257763 - 512 reserved) x 1.5 - 334848 used = 51028.5"


@pytest.mark.parametrize(
    ("domains", "claims", "expected"),
    [
        pytest.param((summary(),), (), Amount(2, 2048, 20 * GIB), id="a domain"),
        pytest.param((summary(state="shut off"),), (), Amount(2, 2048, 20 * GIB), id="a domain that is off"),
        pytest.param((), (claim(),), Amount(4, 4096, 40 * GIB), id="a claim of a guest on its way"),
        pytest.param((summary(),), (claim(),), Amount(4, 4096, 40 * GIB), id="both count once, the larger"),
        pytest.param((summary(vcpus=8),), (claim(),), Amount(8, 4096, 40 * GIB), id="the larger of each number"),
        pytest.param(
            (summary(),), (claim(status="confirmed"),), Amount(2, 2048, 20 * GIB), id="a closed claim is none"
        ),
        pytest.param(
            (summary(),),
            (claim(OTHER_UUID, role="source", status="migrating", vcpus=1, memory_mib=512, disk_bytes=GIB),),
            Amount(3, 2560, 21 * GIB),
            id="the source's claim stays until confirm",
        ),
    ],
)
def test_usage(domains: tuple[object, ...], claims: tuple[object, ...], expected: Amount) -> None:
    assert usage(hypervisor(domains=domains, claims=claims)) == expected


def test_usage_can_leave_the_guest_itself_out() -> None:
    facts = hypervisor(domains=(summary(), summary("db1", OTHER_UUID)), claims=(claim(),))
    assert usage(facts, without=UUID) == Amount(2, 2048, 20 * GIB)


def test_fits_counts_in_the_units_operators_use() -> None:
    facts = hypervisor(domains=(summary(),))
    by_resource = {one.resource: one for one in fits(facts, Amount(4, 4096, 40 * GIB), Capacity())}
    assert by_resource[Resource.VCPUS].free == 16 * 4 - 2
    assert by_resource[Resource.MEMORY].free == 65536 - 512 - 2048 == free_memory_mib(facts, Capacity())
    assert by_resource[Resource.DISK].free == 1000 - 20
    assert by_resource[Resource.DISK].ask == 40


def test_needed_bytes_has_a_margin() -> None:
    assert needed_bytes([]) == COPY_MARGIN_BYTES
    assert needed_bytes([100 * GIB]) == 105 * GIB


def a_migration() -> Migration:
    (only,) = plan(request(), site(), lambda: "id-1").guests
    assert only.migration is not None
    return only.migration


@pytest.mark.parametrize(
    ("facts", "code", "words"),
    [
        (hypervisor("c2", memory_mib_total=4607), "DEST_MEMORY_FULL", ("web1", "4096 MiB", "4095")),
        (hypervisor("c2", vcpus_total=0), "DEST_VCPUS_FULL", ("web1", "4 vCPUs")),
        (hypervisor("c2", disk_bytes_total=39 * GIB), "DEST_DISK_FULL", ("web1", "40 GiB", "39")),
        (hypervisor("c2", disk_bytes_free=GIB), "DEST_DISK_FULL", ("web1", "1.1 GiB", "1 GiB are really free")),
    ],
)
def test_shortage_when_the_claim_is_made(facts: HypervisorFacts, code: str, words: tuple[str, ...]) -> None:
    short = shortage(facts, a_migration())
    assert short is not None
    assert (short.code, short.subject) == (code, "c2")
    assert all(word in short.message for word in words)
    assert short.remedy


def test_no_shortage() -> None:
    assert shortage(hypervisor("c2"), a_migration()) is None


def test_a_claim_that_is_held_is_kept() -> None:
    full = hypervisor(
        "c2", memory_mib_total=0, disk_bytes_free=0, claims=(claim(migration="id-1", status="migrating"),)
    )
    assert shortage(full, a_migration()) is None


AMOUNTS = st.builds(
    Amount,
    vcpus=st.integers(0, 1000),
    memory_mib=st.integers(0, 10**7),
    disk_bytes=st.integers(0, 10**15),
)
CAPACITIES = st.builds(
    Capacity,
    rule=st.sampled_from(ClaimRule),
    cpu_ratio=st.floats(0.1, 32),
    memory_ratio=st.floats(0.1, 4),
    disk_ratio=st.floats(0.1, 32),
    reserved_vcpus=st.integers(0, 64),
    reserved_memory_mib=st.integers(0, 10**6),
    reserved_disk_gib=st.integers(0, 10**4),
)


@given(ask=AMOUNTS, capacity=CAPACITIES)
def test_what_fits_is_covered_by_what_is_free(ask: Amount, capacity: Capacity) -> None:
    for one in fits(hypervisor(domains=(summary(),)), ask, capacity):
        assert one.limit >= 0
        assert one.fits == (one.free - one.ask >= 0)
        if one.fits:
            assert one.free >= 0


@given(first=AMOUNTS, second=AMOUNTS, capacity=CAPACITIES)
def test_one_more_guest_never_makes_room(first: Amount, second: Amount, capacity: Capacity) -> None:
    one = summary("a", OTHER_UUID, vcpus=first.vcpus, memory_mib=first.memory_mib, disk_bytes=first.disk_bytes)
    two = summary("b", THIRD_UUID, vcpus=second.vcpus, memory_mib=second.memory_mib, disk_bytes=second.disk_bytes)
    before = fits(hypervisor(domains=(one,)), Amount(), capacity)
    after = fits(hypervisor(domains=(one, two)), Amount(), capacity)
    assert all(b.free >= a.free for b, a in zip(before, after))


@given(domain=AMOUNTS, claimed=AMOUNTS)
def test_a_guest_counts_once_and_in_any_order(domain: Amount, claimed: Amount) -> None:
    there = summary(vcpus=domain.vcpus, memory_mib=domain.memory_mib, disk_bytes=domain.disk_bytes)
    held = claim(vcpus=claimed.vcpus, memory_mib=claimed.memory_mib, disk_bytes=claimed.disk_bytes)
    used = usage(hypervisor(domains=(there,), claims=(held, held)))
    assert used == domain.larger(claimed) == claimed.larger(domain)


@given(sizes=st.lists(st.integers(0, 10**13), max_size=5), more=st.integers(0, 10**13))
def test_needed_bytes_grows_with_what_is_copied(sizes: list[int], more: int) -> None:
    assert sum(sizes) < needed_bytes(sizes) <= needed_bytes([*sizes, more])
