# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import BALANCED, NOVA
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Forecasting,
    LiveRequest,
    Operation,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import CLOSE, Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.receipt import Carried, Outage, Receipt, build
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status
from ansible_collections.kvmops.mobility.tests.unit.builders import measured, request, site
from ansible_collections.kvmops.mobility.tests.unit.flows import line


def a_migration(**values: Any) -> Migration:
    (only,) = plan(request(), site(), lambda: "id-0").guests
    assert only.migration is not None
    return replace(only.migration, **values)


def step(name: Step, began: float, ended: float, phase: Phase = Phase.MOVE, **result: Any) -> tuple[Entry, ...]:
    effects = {"effects": result.pop("effects", [])}
    return (
        line(name, Event.BEGIN, phase, at=began, result=effects),
        line(name, Event.BEGIN, phase, "an-effect", at=began),
        line(name, Event.END, phase, "an-effect", at=ended, result={"stop_requested_at": -1.0}),
        line(name, Event.END, phase, at=ended, result=result),
    )


def moved(stop: float = 1.0, ours: float = 3.0, start: float = 0.5, offset: float = 0.0) -> tuple[Any, Any]:
    """Journals of a move whose outage has these parts; the destination's clock is ahead by *offset*."""
    off = 100.0 + stop
    on = off + ours
    source = (
        *step(Step.CLAIM, 90.0, 90.5),
        *step(Step.HAND_OVER, 100.0, off + 0.1, effects=["stop", "fence"], stop_requested_at=100.0, off_at=off),
        *step(Step.COPY, off + 0.2, off + 0.9, bytes_sent=123456789),
    )
    destination = (
        *step(Step.CLAIM, 91.0 + offset, 91.5 + offset),
        *step(
            Step.TAKE_OVER,
            on - 1 + offset,
            on + start + offset,
            start_requested_at=on + offset,
            running_at=on + start + offset,
        ),
    )
    return source, destination


SECONDS = st.floats(0, 10_000).map(lambda one: round(one, 3))


@given(SECONDS, SECONDS, SECONDS, st.floats(-1e6, 1e6).map(lambda one: round(one, 3)))
def test_the_parts_of_the_outage_add_up_whatever_the_clocks_say(
    stop: float, ours: float, start: float, offset: float
) -> None:
    found = build(a_migration(), Phase.MOVE, *moved(stop, ours, start, offset), clock_offset_s=offset).outage
    assert found is not None
    for seen, real in ((found.guest_stop, stop), (found.ours, ours), (found.guest_start, start)):
        assert seen == pytest.approx(real, abs=0.002)
    assert found.total == pytest.approx(found.guest_stop + found.ours + found.guest_start, abs=0.002)


def reverted(offset: float = 0.0) -> tuple[Any, Any]:
    """Journals of a move and its revert: the guest stops on the destination, and starts on the source."""
    source, destination = moved(offset=offset)
    left = {"stop_requested_at": 200.0 + offset, "off_at": 202.0 + offset}
    came = {"start_requested_at": 203.0, "running_at": 203.5}
    return (
        (*source, *step(Step.TAKE_OVER, 202.5, 203.5, Phase.REVERT, **came)),
        (
            *destination,
            *step(Step.HAND_OVER, 200.0 + offset, 202.0 + offset, Phase.REVERT, **left),
            *step(Step.DISCARD, 204.0 + offset, 205.0 + offset, Phase.REVERT),
        ),
    )


@pytest.mark.parametrize("offset", [0.0, 100.0, -100.0])
def test_a_revert_goes_the_other_way(offset: float) -> None:
    found = build(a_migration(), Phase.REVERT, *reverted(offset), clock_offset_s=offset)
    assert found.outage == Outage(total=3.5, guest_stop=2.0, ours=1.0, guest_start=0.5)
    assert (found.status, found.where, found.kept, found.next_commands) == (Status.REVERTED, "c1", (), ())


@pytest.mark.parametrize("offset", [0.0, 100.0, -100.0])
def test_steps_come_in_the_order_they_began_on_one_clock(offset: float) -> None:
    found = build(a_migration(), Phase.MOVE, *moved(offset=offset), clock_offset_s=offset)
    assert [(one.step, one.hypervisor) for one in found.steps] == [
        ("claim", "c1"),
        ("claim", "c2"),
        ("hand_over", "c1"),
        ("copy", "c1"),
        ("take_over", "c2"),
    ]


def test_a_move_that_went_well() -> None:
    found = build(a_migration(), Phase.MOVE, *moved())
    assert found.status is Status.FINISHED
    assert found.outage == Outage(total=4.5, guest_stop=1.0, ours=3.0, guest_start=0.5)
    assert (found.bytes_sent, found.where, found.error) == (123456789, "c2", "")
    assert found.kept == ("c1:/var/lib/libvirt/images/web1_resize and its definition, until confirm or revert",)
    assert found.next_commands == (
        "ansible-playbook kvmops.mobility.confirm -e vm=web1",
        "ansible-playbook kvmops.mobility.revert -e vm=web1 -e data=discard",
    )
    assert found.steps[2].did == "stop, fence"
    assert found.steps[2].seconds == 1.1


def test_the_bytes_of_both_passes() -> None:
    source, destination = moved()
    first = step(Step.PRESYNC, 50.0, 60.0, bytes_sent=2**20 * 900, wire="zstd: because")
    found = build(a_migration(), Phase.MOVE, (*source, *first), destination)
    assert (found.bytes_sent, found.bytes_before) == (123456789 + 2**20 * 900, 2**20 * 900)
    assert "  copied           1017.7 MiB on the wire, 900 MiB of it while the guest ran" in found.lines()
    assert "  on the wire      zstd: because" in found.lines()


def test_the_bytes_of_a_mirror_are_libvirts_count() -> None:
    source, destination = moved()
    counted = line(Step.HAND_OVER, result={"mirrored_bytes": 2**20 * 900})
    found = build(a_migration(), Phase.MOVE, (*source, counted), destination)
    assert found.mirrored_bytes == 2**20 * 900
    assert "  mirrored         900 MiB by libvirt's count, holes included" in found.lines()
    assert not any("mirrored " in one for one in build(a_migration(), Phase.MOVE, source, destination).lines())


def test_a_mirror_goes_on_until_the_guest_is_handed_over() -> None:
    source, destination = moved()
    mirrored = step(Step.MIRROR, 50.0, 65.0)
    took = {one.step: one.seconds for one in build(a_migration(), Phase.MOVE, (*mirrored, *source), destination).steps}
    assert took["mirror"] == 50.0
    alone = build(a_migration(), Phase.MOVE, mirrored, ()).steps
    assert [(one.step, one.seconds) for one in alone] == [("mirror", 15.0)]


def test_a_move_in_lines() -> None:
    text = "\n".join(build(a_migration(), Phase.MOVE, *moved()).lines())
    assert text.startswith("web1: VERIFY_RESIZE (migration id-0)\n")
    for words in (
        "the guest is on  c2",
        "4 vCPUs, 4096 MiB, root 40 GiB",
        "4.5 s (guest stop 1.0 s + ours 3.0 s + guest start 0.5 s)",
        "on the wire",
        "kept             c1:",
        "next             ansible-playbook kvmops.mobility.confirm",
        "    3  hand_over  c1     1.1 s  stop, fence",
    ):
        assert words in text
    assert "failed" not in text


def test_as_data_it_is_plain_json_with_the_lines() -> None:
    receipt = build(a_migration(), Phase.MOVE, *moved())
    data = json.loads(json.dumps(receipt.as_result()))
    assert (data["status"], data["nova_status"], data["phase"], data["where"]) == (
        "finished",
        "VERIFY_RESIZE",
        "move",
        "c2",
    )
    assert data["outage"] == {"total": 4.5, "guest_stop": 1.0, "ours": 3.0, "guest_start": 0.5}
    assert data["lines"] == receipt.lines()
    assert Migration.from_result(data["migration"]) == a_migration()


def off_guest() -> tuple[Any, Any]:
    return (
        (*step(Step.CLAIM, 1, 2), *step(Step.HAND_OVER, 2, 3), *step(Step.COPY, 3, 4, bytes_sent=0)),
        (*step(Step.CLAIM, 1, 2), *step(Step.TAKE_OVER, 4, 5)),
    )


def test_a_guest_that_was_off_has_no_outage() -> None:
    found = build(a_migration(was_running=False), Phase.MOVE, *off_guest())
    assert found.outage is None
    assert found.status is Status.FINISHED
    assert not any(" outage " in text or "on the wire" in text for text in found.lines())


def test_a_confirm_has_no_outage() -> None:
    source, destination = moved()
    confirmed = (*source, *step(Step.DISCARD, 300, 301, Phase.CONFIRM))
    found = build(a_migration(), Phase.CONFIRM, confirmed, destination)
    assert found.outage is None
    assert (found.status, found.where, found.kept, found.next_commands) == (Status.CONFIRMED, "c2", (), ())
    assert [one.step for one in found.steps] == ["discard"]


def failed_move(*undo: Entry) -> tuple[Any, Any]:
    source, destination = moved()
    return (
        (*source[: -len(step(Step.COPY, 0, 0))], line(Step.COPY, Event.BEGIN, at=102.0), *undo),
        (*destination[: len(step(Step.CLAIM, 0, 0))], *undo),
    )


UNDO = tuple(
    replace(one, effect=CLOSE) if one.effect else replace(one, result={"effects": [CLOSE]})
    for one in step(Step.UNDO, 110.0, 111.0)
)


def test_a_move_that_failed_and_was_undone() -> None:
    found = build(a_migration(), Phase.MOVE, *failed_move(*UNDO), error="COPY_FAILED: c2: broken pipe")
    assert (found.status, found.where, found.outage) == (Status.FAILED, "c1", None)
    assert (found.kept, found.next_commands) == ((), ())
    text = "\n".join(found.lines())
    for words in ("web1: failed", "failed           COPY_FAILED: c2: broken pipe", "2 vCPUs, 2048 MiB, root 20 GiB"):
        assert words in text
    assert "not ended  did not end" in text


def test_an_undo_that_failed() -> None:
    failed = (line(Step.UNDO, Event.BEGIN), line(Step.UNDO, Event.FAIL, result={"code": "LIBVIRT_FAILED"}))
    found = build(a_migration(), Phase.MOVE, *failed_move(*failed), error="x")
    assert found.status is Status.ERROR
    assert "nothing was removed" in found.kept[0]
    assert found.next_commands == ("ansible-playbook kvmops.mobility.recover",)
    assert [one.did for one in found.steps if one.step == "undo"] == ["failed: LIBVIRT_FAILED"] * 2


@pytest.mark.parametrize(
    ("phase", "source", "destination", "where"),
    [
        pytest.param(Phase.MOVE, (), (), "c1", id="a move nobody tells of"),
        pytest.param(Phase.MOVE, *failed_move(), "c1", id="a move that did not go through"),
        pytest.param(Phase.CONFIRM, *moved(), "c2", id="a confirm without evidence"),
        pytest.param(Phase.REVERT, *moved(), "c2", id="a revert that never began"),
    ],
)
def test_where_the_guest_is(phase: Phase, source: Sequence[Entry], destination: Sequence[Entry], where: str) -> None:
    found: Receipt = build(a_migration(), phase, source, destination, error="x")
    assert found.where == where
    assert f"  the guest is on  {where}" in found.lines()


def test_a_journal_out_of_reach_makes_it_uncertain() -> None:
    source, _destination = moved()
    found = build(a_migration(), Phase.MOVE, source, (), error="x", unheard=("c2",))
    assert found.where == ""
    text = "\n".join(found.lines())
    assert "not certain      c2 did not answer" in text
    assert "c1 or c2" in text


# --- live --------------------------------------------------------------------------------------------------------


def live_migration() -> Migration:
    wanted = LiveRequest(NOVA, Options(), forecast=Forecasting.OFF)
    asked = request(Operation.LIVE_MIGRATE, live=wanted)
    (only,) = plan(asked, site(), lambda: "id-0").guests
    assert only.migration is not None
    return only.migration


STATISTICS = {
    "downtime": 35,
    "downtime_net": 31,
    "time_elapsed": 940,
    "data_processed": 4 * 2**30,
    "memory_processed": 3 * 2**30,
    "disk_processed": 2**30,
    "memory_iteration": 4,
}


def foreseen_migration() -> Migration:
    """As it was said that it would come to."""
    asked = request(Operation.LIVE_MIGRATE, live=LiveRequest(BALANCED, Options()))
    (only,) = plan(asked, site(forecasts={"c1": measured(68, 102)}), lambda: "id-0").guests
    assert only.migration is not None
    return only.migration


def watched(*calls: tuple[float, float | None], **result: Any) -> tuple[Entry, ...]:
    """The step live in several calls, each with its begin and its end, if it ended."""
    found: list[Entry] = []
    for number, (began, ended) in enumerate(calls):
        effects = {"effects": ["start", "live"] if number == 0 else ["end"]}
        found.append(line(Step.LIVE, Event.BEGIN, at=began, result=effects))
        if ended is not None:
            found.append(line(Step.LIVE, Event.END, at=ended, result=result if number == len(calls) - 1 else {}))
    return tuple(found)


def carried(**state: Any) -> tuple[Any, Any]:
    """Journals of a live migration that went well."""
    source = (
        *step(Step.CLAIM, 90.0, 90.5),
        *watched((100.0, 115.0), (130.0, 131.0), state=state),
        *step(Step.DEPART, 133.0, 133.5, kept=["/b/base"]),
    )
    destination = (*step(Step.CLAIM, 91.0, 91.5), *step(Step.PREPARE, 92.0, 93.0), *step(Step.ARRIVE, 132.0, 132.5))
    return source, destination


def test_a_live_migration_that_went_well() -> None:
    found = build(live_migration(), Phase.MOVE, *carried(statistics=STATISTICS, done=["3.0 s: downtime limit 50 ms"]))
    assert (found.status, found.shown, found.where, found.outage) == (Status.COMPLETED, "completed", "c2", None)
    assert found.carried == Carried(35, 31, 0.94, 3 * 2**30, 2**30, 4, ("3.0 s: downtime limit 50 ms",))
    assert [(one.step, one.seconds, one.did) for one in found.steps if one.step == "live"] == [
        ("live", 31.0, "start, live")
    ]
    assert (found.next_commands, found.kept) == ((), ("c1:/b/base, which was not copied",))
    lines = found.lines()
    assert lines[0] == "web1: completed (migration id-0)"
    for words in (
        "  done to it       3.0 s: downtime limit 50 ms",
        "  outage           35 ms by libvirt's count (31 ms without the hand-over between the hosts)",
        "  sent             3 GiB of memory in 4 round(s)",
        "  mirrored         1 GiB of disks, what is empty counted",
    ):
        assert words in lines
    data = json.loads(json.dumps(found.as_result()))
    assert (data["nova_status"], data["carried"]["downtime_ms"]) == ("completed", 35)


def test_what_was_said_stands_beside_what_happened() -> None:
    told = {**STATISTICS, "memory_bps": 110 * 2**20}
    found = build(foreseen_migration(), Phase.MOVE, *carried(statistics=told))
    assert "  forecast         24 s, pause 478 ms; it took 0.9 s, the pause was 35 ms" in found.lines()
    data = json.loads(json.dumps(found.as_result()))["carried"]
    assert (data["memory_bytes_s"], data["outlook"]["pause_ms"]) == (110 * 2**20, 478)
    untold = build(foreseen_migration(), Phase.MOVE, *carried(done=["1.0 s: x"]))
    assert "  forecast         24 s, pause 478 ms" in untold.lines()


def test_nothing_was_said_of_what_was_not_known() -> None:
    wanted = request(Operation.LIVE_MIGRATE, live=LiveRequest(BALANCED, Options()))
    (only,) = plan(wanted, site(), lambda: "id-0").guests
    assert only.migration is not None
    lines = build(only.migration, Phase.MOVE, *carried(statistics=STATISTICS)).lines()
    assert not any("forecast" in one for one in lines)


def test_what_the_source_did_not_hear_of_the_end_the_destination_may_have() -> None:
    source, destination = carried(statistics={})
    arrived = step(Step.ARRIVE, 132.0, 132.5, statistics={"downtime": 40})
    found = build(live_migration(), Phase.MOVE, source, (*destination, *arrived)).carried
    assert found is not None
    assert (found.downtime_ms, found.downtime_net_ms, found.memory_bytes, found.disk_bytes) == (40, None, None, None)
    assert found.lines() == ["  outage           40 ms by libvirt's count"]


def test_a_live_migration_that_nobody_has_seen_the_end_of() -> None:
    source = (*step(Step.CLAIM, 90.0, 90.5), *watched((100.0, 115.0), (130.0, None)))
    found = build(live_migration(), Phase.MOVE, source, step(Step.CLAIM, 91.0, 91.5), error="HOST_UNREACHABLE: c1")
    assert (found.status, found.shown, found.where) == (Status.MIGRATING, "running", "")
    assert found.next_commands == ("ansible-playbook kvmops.mobility.recover",)
    assert found.carried is None
    assert [(one.step, one.seconds) for one in found.steps if one.step == "live"] == [("live", None)]


def test_one_that_was_taken_back() -> None:
    source = (
        *step(Step.CLAIM, 90.0, 90.5),
        line(Step.LIVE, Event.BEGIN, at=100.0, result={"effects": ["start", "live"]}),
        line(Step.LIVE, Event.FAIL, at=101.0, result={"code": "LIVE_ABORTED"}),
        *UNDONE,
    )
    found = build(live_migration(), Phase.MOVE, source, (*step(Step.CLAIM, 91.0, 91.5), *UNDONE), error="LIVE_ABORTED")
    assert (found.status, found.shown, found.where, found.next_commands) == (Status.FAILED, "cancelled", "c1", ())
    assert "failed: LIVE_ABORTED" in "\n".join(found.lines())


UNDONE = (
    line(Step.UNDO, Event.BEGIN, result={"effects": [CLOSE]}),
    line(Step.UNDO, Event.END, effect=CLOSE),
    line(Step.UNDO, Event.END),
)
