# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugins that work on the controller alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.action import (
    migration_plan,
    migration_receipt,
    migration_request,
    migration_status,
    migration_summary,
    migration_visitors,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._version import VERSION
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    OTHER_UUID,
    UUID,
    fit,
    guest,
    hypervisor,
    measured,
    request,
    site,
    summary,
)
from ansible_collections.kvmops.mobility.tests.unit.controller import action, over_the_wire, variables
from ansible_collections.kvmops.mobility.tests.unit.flows import CONFIRM, MOVE, journals, line


def a_migration(**values: Any) -> Migration:
    (only,) = plan(request(), site(), lambda: "id-0").guests
    assert only.migration is not None
    return replace(only.migration, **values)


def answers(
    one: Migration, entries: tuple[tuple[Entry, ...], tuple[Entry, ...]], lock: Any = None
) -> dict[str, dict[str, Any]]:
    """What migration_info returned on both hypervisors."""
    hosts: dict[str, dict[str, Any]] = {}
    for role, host, journal in zip(("source", "destination"), (one.source, one.destination), entries):
        told = {
            "id": one.id,
            "role": role,
            "record": {"migration": one.as_result(), "at": 5.0},
            "journal": [entry.as_result() for entry in journal],
            "lock": lock,
        }
        hosts[host] = {"kvmops_migrations": {"migrations": [told]}}
    return hosts


def located(*guests: Any) -> dict[str, dict[str, Any]]:
    """What the locate play registered: the guests on c1, and an empty c2."""
    found = guests or (guest(),)
    here = hypervisor("c1", domains=tuple(summary(one.name, one.uuid) for one in found))
    return {
        host: {
            "kvmops_survey": {
                "hypervisor": facts.as_result(),
                "domains": [one.as_result() for one in found] if host == "c1" else [],
                "probes": {},
                "controller_clock": {"ended": facts.clock},
            },
            "kvmops_fits": {"fits": {one.uuid: fit(one.uuid).as_result() for one in found} if host == "c2" else {}},
        }
        for host, facts in (("c1", here), ("c2", hypervisor("c2")))
    }


# --- request -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "moves", "options"),
    [
        ({"operation": "resize", "vm": "web1", "flavor": "m1.large"}, True, {}),
        ({"operation": "migrate", "vm": ["web1", "db1"], "dest": "c2"}, True, {}),
        ({"operation": "confirm", "vm": "web1", "force": "true"}, False, {"force": True}),
        ({"operation": "revert", "vm": "web1", "data": "discard"}, False, {"data": "discard"}),
        ({"operation": "live_migrate", "vm": "web1", "dest": "c2", "policy": "fast"}, True, {}),
        ({"operation": "abort", "vm": "web1"}, False, {}),
        ({"operation": "retune", "vm": "web1", "policy": "fast"}, False, {}),
    ],
)
def test_a_good_request(asked: dict[str, Any], moves: bool, options: dict[str, Any]) -> None:
    found = action(migration_request.ActionModule, **asked).run(task_vars={})
    assert (found["changed"], found["moves"], found["options"]) == (False, moves, options)
    assert found["request"] == asked
    assert found["live"] is (asked["operation"] == "live_migrate")
    assert found["forecast"] == ("refuse" if found["live"] else "off")
    assert found["guests"] == (asked["vm"] if isinstance(asked["vm"], list) else [asked["vm"]])


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"operation": "resize"}, "VM_MISSING"),
        ({"operation": "resize", "vm": "web1", "flavor": "m1.huge"}, "FLAVOR_UNKNOWN"),
        ({"operation": "revert", "vm": "web1"}, "DATA_REQUIRED"),
        ({"operation": "confirm", "vm": "web1", "playbooks_version": "9.9.9"}, "VERSION_MISMATCH"),
        ({"operation": "migrate", "vm": "web1", "select": "[]", "dest": "c2"}, "SELECT_AND_VM"),
        ({"operation": "confirm", "select": "[]"}, "SELECT_NOT_ALLOWED"),
        ({"operation": "migrate", "select": "[]"}, "DEST_REQUIRED"),
        ({"operation": "live_migrate", "vm": "web1", "dest": "c2", "policy": "brisk"}, "POLICY_INVALID"),
        ({"operation": "retune", "vm": "web1"}, "VALUE_INVALID"),
        ({"operation": "abort", "select": "[]"}, "SELECT_NOT_ALLOWED"),
    ],
)
def test_a_bad_request(asked: dict[str, Any], code: str) -> None:
    found = action(migration_request.ActionModule, **asked).run(task_vars={})
    assert (found["failed"], found["code"]) == (True, code)
    assert found["remedy"]


def test_a_selection_asks_for_all_guests() -> None:
    asked = {"operation": "migrate", "select": "[?vcpus > `1`]", "dest": "c2"}
    found = action(migration_request.ActionModule, **asked).run(task_vars={})
    assert (found["guests"], found["moves"]) == (None, True)


def test_playbooks_of_this_version() -> None:
    asked = {"operation": "confirm", "vm": "web1", "playbooks_version": VERSION}
    assert "failed" not in action(migration_request.ActionModule, **asked).run(task_vars={})


# --- plan --------------------------------------------------------------------------------------------------------

RESIZE = {"operation": "resize", "vm": "web1", "vcpus": "4", "dest": "c2"}


def make_plan(hosts: dict[str, Any], **asked: Any) -> dict[str, Any]:
    return action(migration_plan.ActionModule, request=asked or RESIZE).run(task_vars=variables(hosts))


def test_a_resize_is_planned_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = make_plan(located())
    (only,) = found["guests"]
    assert (only["subject"], only["outcome"], only["host"]) == ("web1", "planned", "guest-6c8f0f0e")
    assert (only["clock_offset_s"], found["command"]) == (0.0, "resize web1")
    assert "@" in found["owner"]
    migration = Migration.from_result(over_the_wire(only["migration"]))
    assert (migration.source, migration.destination, migration.new.vcpus) == ("c1", "c2", 4)
    assert capsys.readouterr().out.splitlines() == only["lines"]


def test_a_selection_is_planned() -> None:
    asked = {"operation": "migrate", "select": "[?hypervisor=='c1']", "dest": "c2"}
    (only,) = make_plan(located(), **asked)["guests"]
    assert (only["outcome"], only["migration"]["name"]) == ("planned", "web1")


def test_every_migration_has_an_id_of_its_own() -> None:
    ids = {make_plan(located())["guests"][0]["migration"]["id"] for _time in range(5)}
    assert len(ids) == 5


def test_guests_whose_uuids_begin_alike_are_told_apart() -> None:
    other = guest("db1", OTHER_UUID, directory="/var/lib/libvirt/images/db1")
    found = make_plan(located(guest(), other), **{**RESIZE, "vm": ["web1", "db1"]})
    assert [one["host"] for one in found["guests"]] == [f"guest-{UUID}", f"guest-{OTHER_UUID}"]


def test_a_guest_that_is_refused_has_no_host(capsys: pytest.CaptureFixture[str]) -> None:
    (only,) = make_plan(located(), **{**RESIZE, "vm": "nope"})["guests"]
    assert (only["outcome"], only["host"], only["migration"]) == ("refused", "", None)
    assert "GUEST_NOT_FOUND" in capsys.readouterr().out


@pytest.mark.parametrize("operation", [{"operation": "confirm"}, {"operation": "revert", "data": "discard"}])
def test_a_confirm_or_revert_is_read_from_the_records(operation: dict[str, str]) -> None:
    (only,) = make_plan(answers(a_migration(), journals(MOVE)), vm="web1", **operation)["guests"]
    assert (only["outcome"], only["migration"]["id"]) == ("planned", "id-0")


LIVE_ASKED = {"operation": "live_migrate", "vm": "web1", "dest": "c2"}


def live_one() -> Migration:
    (only,) = make_plan(located(), **LIVE_ASKED)["guests"]
    return Migration.from_result(over_the_wire(only["migration"]))


def test_a_live_migration_is_planned_with_what_is_told_of_it() -> None:
    (only,) = make_plan(located(), **LIVE_ASKED, live={"announce": True})["guests"]
    assert (only["outcome"], only["options"]) == ("planned", {})
    one = Migration.from_result(over_the_wire(only["migration"]))
    assert one.live is not None
    assert (one.live.copied, one.live.announce) == (("vda",), True)


def test_clocks_that_are_apart_are_seen() -> None:
    hosts = located()
    hosts["c2"]["kvmops_survey"]["controller_clock"]["ended"] -= 61.0
    (only,) = make_plan(hosts, **LIVE_ASKED)["guests"]
    assert [one["code"] for one in only["findings"]] == ["CLOCKS_DIFFER"]


MOVING = ((line(Step.CLAIM), line(Step.LIVE, Event.BEGIN)), (line(Step.CLAIM),))


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        ({"operation": "abort"}, {"order": "abort"}),
        ({"operation": "retune", "live": {"bandwidth_mib_s": "9"}}, {"order": "retune", "bandwidth_mib_s": 9}),
    ],
)
def test_an_order_goes_to_the_live_migration_of_the_guest(asked: dict[str, Any], order: dict[str, Any]) -> None:
    (only,) = make_plan(answers(live_one(), MOVING), vm="web1", **asked)["guests"]
    assert (only["outcome"], only["options"]) == ("planned", order)
    assert only["host"] == "guest-6c8f0f0e"


def test_without_hypervisors() -> None:
    found = make_plan({})
    assert (found["failed"], found["code"]) == (True, "HYPERVISORS_MISSING")


# --- visitors, status --------------------------------------------------------------------------------------------


def test_visitors() -> None:
    found = action(migration_visitors.ActionModule).run(task_vars=variables(located()))
    assert [one["directory"] for one in found["guests"]] == [guest().directory]


def test_visitors_of_a_live_migration_come_as_they_run() -> None:
    one = replace(guest(), live_xml=guest().xml.replace("<vcpu>2", "<vcpu current='2'>2"))
    found = action(migration_visitors.ActionModule, operation="live_migrate").run(task_vars=variables(located(one)))
    assert [(one["xml"], one["places"]) for one in found["guests"]] == [(one.live_xml, [f"{one.directory}/disk"])]


TO_FORESEE: dict[str, Any] = {"operation": "live_migrate", "forecast": "refuse"}


def to_measure(one: Any, here: str = "c1", **asked: Any) -> list[str]:
    """Of which guests on *here* a forecast is wanted."""
    given = {**TO_FORESEE, **asked}
    found = action(migration_visitors.ActionModule, **given).run(
        task_vars={**variables(located(one)), "inventory_hostname": here}
    )
    return list(found["to_measure"])


@pytest.mark.parametrize("state", ["running", "paused"])
def test_guests_that_run_are_measured_where_they_are(state: str) -> None:
    assert to_measure(guest(state=state)) == [UUID]
    assert to_measure(guest(state=state), "c2") == []


@pytest.mark.parametrize(
    "asked", [{"operation": "migrate"}, {"operation": None}, {"forecast": "off"}, {"forecast": None}]
)
def test_nothing_is_measured_that_nobody_wants_to_know(asked: dict[str, Any]) -> None:
    assert to_measure(guest(), **asked) == []


def test_a_guest_that_is_off_is_not_measured() -> None:
    assert to_measure(guest(state="shut off")) == []


@pytest.mark.parametrize(("select", "found"), [("[?name=='web1']", [UUID]), ("[?name=='db1']", []), ("[?", [])])
def test_of_a_selection_only_those_that_it_will_choose(select: str, found: list[str]) -> None:
    assert to_measure(guest(), select=select) == found


def test_what_was_measured_reaches_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    hosts = located()
    hosts["c1"]["kvmops_measured"] = measured(158, 306).as_result()
    (only,) = make_plan(hosts, **LIVE_ASKED)["guests"]
    assert [one["code"] for one in only["findings"]] == ["WILL_NOT_CONVERGE"]
    hosts["c1"]["kvmops_measured"] = measured(68, 102).as_result()
    (only,) = make_plan(hosts, **LIVE_ASKED)["guests"]
    assert only["migration"]["live"]["outlook"]["verdict"] == "converges"
    assert "forecast         24 s, pause 478 ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    "told", [{"failed": True, "msg": "x"}, {"failed": False, "code": "DEADLINE"}, {"skipped": True}]
)
def test_a_measurement_that_failed_is_not_the_end(told: dict[str, Any]) -> None:
    hosts = located()
    hosts["c1"]["kvmops_measured"] = told
    (only,) = make_plan(hosts, **LIVE_ASKED)["guests"]
    assert (only["outcome"], only["migration"]["live"]["outlook"]["verdict"]) == ("planned", "unknown")


def status(hosts: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    return action(migration_status.ActionModule, **arguments).run(task_vars=variables(hosts))


def test_where_a_migration_stands_and_what_to_type() -> None:
    lock = {"uuid": UUID, "migration": "id-0", "owner": "ann@laptop", "command": "confirm web1", "since": 1.0}
    found = status(answers(a_migration(), journals(MOVE), lock))
    (only,) = found["migrations"]
    assert (only["id"], only["name"], only["status"], only["lock"]) == ("id-0", "web1", "finished", lock)
    text = "\n".join(found["lines"])
    for words in ("web1  resize c1 -> c2  VERIFY_RESIZE", "ann@laptop", "confirm -e vm=web1", "revert -e vm=web1"):
        assert words in text


def test_what_cannot_be_read_is_said_beside_the_others() -> None:
    torn = {"uuid": UUID, "migration": "", "owner": "", "command": "?", "since": 1.0}
    hosts = answers(a_migration(), journals(MOVE), torn)
    why = {"code": "RECORD_NEWER", "message": "it has schema 2.", "remedy": "Use 9.1."}
    hosts["c2"]["kvmops_migrations"]["unreadable"] = [{"id": "id-9", "name": "db1", "uuid": "x", "problem": why}]
    found = status(hosts)
    assert [one["id"] for one in found["migrations"]] == ["id-0"]
    text = "\n".join(found["lines"])
    assert "RECORD_NEWER: migration id-9 (db1) on c2: it has schema 2. Use 9.1." in text
    assert f"LOCK_UNREADABLE: c1: /var/lib/kvmops/locks/{UUID}.json" in text


def test_nothing_is_to_be_typed_for_one_that_cannot_be_read() -> None:
    hosts = answers(a_migration(), journals(MOVE))
    why = {"code": "RECORD_UNREADABLE", "message": "torn.", "remedy": "Mend it."}
    torn = {"id": "id-0", "name": "", "uuid": "id-0", "problem": why}
    hosts["c1"]["kvmops_migrations"] = {"migrations": [], "unreadable": [torn]}
    first, second = status(hosts)["lines"]
    assert first.startswith("web1  resize c1 -> c2  VERIFY_RESIZE")
    assert second == "RECORD_UNREADABLE: migration id-0 (web1) on c1: torn. Mend it."


def note(role: str, status: str = "confirmed", **values: Any) -> dict[str, Any]:
    """What a hypervisor tells of a closed migration of which it tells no more."""
    one = a_migration()
    told = {"id": one.id, "role": role, "status": status, "operation": "resize", "uuid": UUID, "name": "web1"}
    return {**told, "source": "c1", "destination": "c2", "at": 5.0, "ended_at": 9.0, "closed": True, **values}


def test_archived_ones_are_shown_with_all() -> None:
    hosts = answers(a_migration(), journals(MOVE))
    for host, role in (("c1", "source"), ("c2", "destination")):
        hosts[host]["kvmops_migrations"] = {"migrations": [], "closed": [note(role)]}
    assert status(hosts)["lines"] == ["no open migration"]
    assert status(hosts, all=True)["lines"] == [
        "web1  resize c1 -> c2  confirmed  (migration id-0, archived on c1, c2)"
    ]


def test_one_side_has_archived_what_the_other_has_not_heard_of() -> None:
    hosts = answers(a_migration(), journals(MOVE))
    hosts["c1"]["kvmops_migrations"] = {"migrations": [], "closed": [note("source")]}
    assert status(hosts)["lines"] == ["no open migration"]
    assert [one["status"] for one in status(hosts, all=True)["migrations"]] == ["confirmed"]


def test_how_far_a_live_migration_is() -> None:
    hosts = answers(live_one(), MOVING)
    sample = {"elapsed_s": 7.0, "stage": "memory", "iteration": 3, "memory_total": 2**30, "memory_remaining": 2**28}
    hosts["c1"]["kvmops_migrations"]["migrations"][0]["live"] = {"sample": sample}
    found = status(hosts)
    assert found["migrations"][0]["live"] == {"sample": sample}
    assert found["lines"][0].startswith("web1  live_migrate c1 -> c2  running  (migration ")
    assert found["lines"][1].startswith("  live migration: memory, 7 s, iteration 3, 256 MiB of 1 GiB")


def test_a_live_migration_that_nobody_has_looked_at() -> None:
    assert status(answers(live_one(), ((line(Step.CLAIM),), ())))["lines"][0].startswith(
        "web1  live_migrate c1 -> c2  queued  "
    )


def test_closed_ones_are_shown_when_all_are_wanted() -> None:
    hosts = answers(a_migration(), journals(MOVE, CONFIRM))
    assert status(hosts)["lines"] == ["no open migration"]
    assert [one["status"] for one in status(hosts, all=True)["migrations"]] == ["confirmed"]


def test_hypervisors_that_do_not_answer_are_named() -> None:
    hosts = {**answers(a_migration(), journals(MOVE)), "c9": {"kvmops_unusable": "no route to host"}}
    assert "no answer from c9: no route to host" in status(hosts)["lines"]


# --- receipt -----------------------------------------------------------------------------------------------------


def journal(host: str) -> dict[str, Any]:
    found: dict[str, Any] = answers(a_migration(), journals(MOVE))[host]["kvmops_migrations"]
    return found


def receipt(**arguments: Any) -> dict[str, Any]:
    migration = over_the_wire(a_migration().as_result())
    return action(migration_receipt.ActionModule, migration=migration, **over_the_wire(arguments)).run(task_vars={})


def test_a_receipt_is_shown_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    found = receipt(phase="move", source=journal("c1"), destination=journal("c2"), clock_offset_s="2.5", error={})
    data = found["receipt"]
    assert (data["status"], data["where"], data["error"]) == ("finished", "c2", "")
    assert found["ansible_facts"] == {"kvmops_receipt": data}
    assert found["ansible_stats"]["data"] == {"kvmops_web1": data}
    assert capsys.readouterr().out.splitlines() == data["lines"]


@pytest.mark.parametrize("silent", [None, {}, {"failed": True, "msg": "x"}])
def test_a_receipt_from_one_journal(silent: Any) -> None:
    data = receipt(source=silent, destination=journal("c2"))["receipt"]
    assert {one["hypervisor"] for one in data["steps"]} == {"c2"}


def test_the_error_is_told() -> None:
    found = receipt(source=journal("c1"), destination=journal("c2"), error={"msg": "COPY_FAILED: c2", "rc": 1})
    assert found["receipt"]["error"] == "COPY_FAILED: c2"


# --- summary -----------------------------------------------------------------------------------------------------


def planned(subject: str = "web1") -> dict[str, Any]:
    return {"subject": subject, "outcome": "planned", "host": f"guest-{subject}", "findings": [], "note": ""}


REFUSED = {
    "subject": "db1",
    "outcome": "refused",
    "host": "",
    "findings": [
        {"severity": "warn", "code": "W", "message": "m", "remedy": "r"},
        {"severity": "block", "code": "BUSY", "message": "db1 is busy.", "remedy": "Wait."},
    ],
}
ALREADY = {"subject": "old1", "outcome": "already", "host": "", "findings": [], "note": "old1 waits."}


def handled(status: str = "finished", error: str = "", subject: str = "web1") -> dict[str, Any]:
    told = {"where": "c2", "status": status, "nova_status": status.upper(), "error": error}
    return {f"guest-{subject}": {"kvmops_receipt": told}}


def summarize(guests: list[dict[str, Any]], hosts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return action(migration_summary.ActionModule, guests=guests).run(task_vars=variables(hosts, **more))


def test_all_went_well() -> None:
    found = summarize([planned(), ALREADY], handled())
    assert found["lines"] == ["web1: FINISHED, on c2", "old1 waits."]
    assert not found.get("failed")


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        pytest.param({}, "web1: not handled", id="no receipt"),
        pytest.param({"guest-web1": {}}, "web1: not handled", id="no receipt on its host"),
        pytest.param(handled(error="COPY_FAILED: c2"), "web1: FINISHED, on c2: COPY_FAILED: c2", id="an error"),
        *(
            pytest.param(handled(status), f"web1: {status.upper()}, on c2", id=status)
            for status in ("failed", "error", "unknown")
        ),
    ],
)
def test_one_did_not(hosts: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = summarize([planned(), ALREADY], hosts)
    assert (found["failed"], found["code"], found["guests"]) == (True, "GUESTS_FAILED", ["web1"])
    assert "1 of 2 guests: web1" in found["msg"]
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(words)
    assert out[1] == "old1 waits."


@pytest.mark.parametrize("ok", [True, False])
def test_what_came_of_an_order(ok: bool) -> None:
    found = summarize([planned()], {"guest-web1": {"live_control_told": {"ok": ok, "words": "given up, at once"}}})
    assert found["lines" if ok else "guests"] == (["web1: given up, at once"] if ok else ["web1"])


def test_one_that_was_refused_does_not_hide_the_other() -> None:
    found = summarize([planned(), REFUSED], handled())
    assert found["guests"] == ["db1"]


def test_a_refusal_says_the_code_that_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    summarize([REFUSED], {})
    assert capsys.readouterr().out == "db1: refused, nothing was changed: BUSY: db1 is busy. Wait.\n"


def test_check_mode_handles_nobody() -> None:
    found = summarize([planned()], {}, ansible_check_mode=True)
    assert found["lines"] == ["web1: planned; check mode, nothing was changed"]
    assert "failed" not in found
    assert summarize([planned(), REFUSED], {}, ansible_check_mode=True)["failed"]
