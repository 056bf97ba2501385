# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements of copies and of many guests reckon and show."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.bench import control, copy
from ansible_collections.kvmops.mobility.bench.moves import methods
from ansible_collections.kvmops.mobility.bench.moves.page import Results
from ansible_collections.kvmops.mobility.tests.e2e.play import Run


def resized(count: int, wall_s: float, repeat: int = 1) -> dict[str, Any]:
    """One run of so many guests."""
    return {
        **{"cell": control.cell(count), "method": "resize", "repeat": repeat, "commit": "abc", "ok": True},
        **{"wall_s": wall_s, "own_s": 1.5, "tasks": 40 * count, "cpu_controller_s": 4.0, "cpu_hosts_s": 3.0},
        **{"outage_s": 3.0, "longest_outage_s": 4.0},
    }


@pytest.mark.parametrize(
    ("one", "sixteen", "met"), [(9.0, 30.0, ["yes", "yes"]), (9.6, 40.0, ["no", "no"]), (9.0, 36.0, ["yes", "no"])]
)
def test_limits_of_the_playbooks(one: float, sixteen: float, met: list[str]) -> None:
    found = control.wanted(Results([resized(1, one), resized(16, sixteen)]))
    assert [row[2] for row in found.rows[1:]] == met


def test_limits_without_the_runs_are_not_measured() -> None:
    assert [row[2] for row in control.wanted(Results([resized(4, 9.0)])).rows[1:]] == ["not measured"] * 2


def test_table_of_guests_is_in_the_order_of_their_number() -> None:
    table = control.tables(Results([resized(16, 30.0), resized(4, 20.0), resized(1, 10.0)]))[0]
    assert [row[0] for row in table.rows[1:]] == ["1", "4", "16"]
    assert table.rows[3][:5] == ("16", "30.0", "28.5", "3.0", "640")


def test_outages_of_a_run_come_from_the_receipts() -> None:
    outages = [
        {"total": total, "guest_stop": 0.5, "ours": total - 1.5, "guest_start": 1.0} for total in (3.0, 4.0, 9.0)
    ]
    stats = {f"kvmops_g{at}": {"outage": outage} for at, outage in enumerate(outages)}
    counted = control.counted(Run(0, "", (), stats), ["g0", "g1", "g2"])
    assert counted == {"tasks": 0, "outage_s": 4.0, "longest_outage_s": 9.0, "between_s": 2.5, "own_s": 1.5}


def test_changes_are_so_many_different_clusters_of_the_content() -> None:
    places = copy.changes(64, 10)
    assert len(set(places)) == 102
    assert all(place % copy.CLUSTER == 0 and 2 << 20 <= place < 66 << 20 for place in places)
    assert places == copy.changes(64, 10)


@pytest.mark.parametrize("numbers", [range(70000), range(2**18 - 300, 2**18)])
def test_no_two_clusters_get_the_same_content(numbers: range) -> None:
    """What rsync finds in another cluster it does not send."""
    told = ["".join(copy.written(number * copy.CLUSTER, 10)) for number in numbers]
    patterns = {tuple(re.findall(r"-P (\d+)", one)) for one in told}
    assert len(patterns) == len(told)
    assert all(
        one.splitlines()[1].endswith(f" {at * copy.CLUSTER + 4096} 4096") for at, one in zip(numbers, told, strict=True)
    )


def test_something_changes_at_least() -> None:
    assert len(copy.changes(1, 1)) == 1


def test_receipt_tells_the_parts_and_the_transfer() -> None:
    receipt = {
        "outage": {"total": 4.0, "guest_stop": 0.5, "ours": 2.5, "guest_start": 1.0},
        "migration": {"transfer": "mirror"},
        "bytes_sent": 7,
        "steps": [{"step": "copy", "hypervisor": "c1", "seconds": 1.0, "did": "x"}],
    }
    moved = methods.from_receipt(receipt)
    assert (moved.guest_stop_s, moved.between_s, moved.guest_start_s) == (0.5, 2.5, 1.0)
    assert moved.transfer == "mirror"
    assert moved.steps == ({"step": "copy", "hypervisor": "c1", "seconds": 1.0},)


def test_receipt_of_a_guest_that_was_off() -> None:
    assert methods.from_receipt({"outage": None, "steps": []}) == methods.Moved()


def test_title_of_a_delta() -> None:
    results = Results([{"cell": "size1+10%", "setup": {"says": "1 GiB allocated"}}])
    assert (
        copy.title(results, "size1+10%") == "size1+10%: 1 GiB allocated; 10% of the clusters changed since a first copy"
    )


def test_table_has_the_bytes_by_those_wanted() -> None:
    run = {
        **{"cell": "base", "method": "scp", "repeat": 1, "ok": True, "wall_s": 2.0, "wire_bytes": 3 << 20},
        **{"wanted_bytes": 2 << 20, "cpu_both_s": 1.0, "peak_both_mib": 5.0, "setup": {"says": ""}},
    }
    assert copy.table(Results([run]), "base").rows[1] == ("scp", "2.0", "3", "1.50", "1.0", "5", "1")
