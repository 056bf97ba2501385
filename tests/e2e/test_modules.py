# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public small modules on a real host: each change with --check first, then made, then asked for once more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import IMAGES, PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.odd import Odd, build, virsh
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play

MIB = 2**20
POLITE = f"{PREFIX}polite"
"""A real guest, which shuts down when it is asked to."""
STUBBORN = Odd("stubborn", "")
"""Has no operating system, so nobody hears a shutdown request."""
PAPER = Odd("paper", "")
"""Only ever defined."""
SAVED = Odd("kept", "", after=lambda o: [virsh("start", o.name), virsh("managedsave", o.name)])
WORK = f"{IMAGES}/{PREFIX}work"
COPY = f"{IMAGES}/{PREFIX}copy"
Task = Mapping[str, Any]
Results = Mapping[str, Mapping[str, Any]]


def call(label: str, module: str, /, **arguments: Any) -> Task:
    """A task that goes on when it fails: the tests judge."""
    return {"name": label, f"kvmops.mobility.{module}": arguments, "ignore_errors": True}


def thrice(label: str, module: str, /, **arguments: Any) -> list[Task]:
    """In check mode, for real, and again."""
    return [
        {**call(f"{label}, checked", module, **arguments), "check_mode": True, "diff": True},
        {**call(label, module, **arguments), "diff": True},
        call(f"{label}, again", module, **arguments),
    ]


def run_tasks(
    directory: Path, tasks: Sequence[Task], *options: str, timeout_s: float = 120
) -> dict[str, dict[str, Any]]:
    """Run tasks on c1; what each returned, by its name."""
    run = _play(directory, tasks, *options, timeout_s=timeout_s)
    assert run.code == 0, run.output
    return {one.task: dict(one.result) for one in run.results}


def _play(directory: Path, tasks: Sequence[Task], *options: str, timeout_s: float) -> Run:
    path = directory / "tasks.yml"
    path.write_text(json.dumps([{"hosts": "c1", "gather_facts": False, "tasks": list(tasks)}]), encoding="utf-8")
    return play(str(path), {}, *options, timeout_s=timeout_s)


def assert_thrice(results: Results, name: str) -> None:
    """It would change, it changed, and then there was nothing to change."""
    changed = [results[one]["changed"] for one in (f"{name}, checked", name, f"{name}, again")]
    failed = [results[one].get("msg", "") for one in (f"{name}, checked", name, f"{name}, again")]
    assert (changed, failed) == ([True, True, False], ["", "", ""])
    assert [one["name"] for one in results[f"{name}, checked"]["steps"]] == [
        one["name"] for one in results[name]["steps"]
    ]


@pytest.fixture(scope="module")
def guests() -> Iterator[None]:
    """One real guest, and some without an operating system."""
    try:
        build((STUBBORN, PAPER, SAVED))
        lab.create(POLITE)
        yield
    finally:
        lab.destroy(POLITE)
        lab.parallel(lambda host: lab.remote(host, "sweep", PREFIX), lab.HOSTS)


@pytest.fixture(scope="module")
def power(guests: None, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What domain_power and disk_resize returned; the second wants guests in certain states."""
    disk = f"{STUBBORN.directory}/disk"
    stop = {"state": "shut_off", "timeout_s": 3, "retry_interval_s": 1}
    return run_tasks(
        tmp_path_factory.mktemp("power"),
        [
            *thrice("shut down", "domain_power", name=POLITE, state="shut_off", retry_interval_s=2),
            *thrice("start", "domain_power", name=STUBBORN.uuid, state="running"),
            call("abort", "domain_power", name=STUBBORN.name, **stop),
            call("grow in use", "disk_resize", path=disk, format="qcow2", size_bytes=128 * MIB),
            call("undefine running", "domain_define", name=STUBBORN.name, state="absent"),
            *thrice("force", "domain_power", name=STUBBORN.name, on_timeout="force", **stop),
            call("start again", "domain_power", name=STUBBORN.name, state="running"),
            *thrice("pull the plug", "domain_power", name=STUBBORN.name, state="forced_off"),
            call("nobody", "domain_power", name=f"{PREFIX}nobody", state="running"),
        ],
    )


class TestPower:
    """domain_power."""

    @pytest.mark.parametrize("name", ["shut down", "start", "force", "pull the plug"])
    def test_check_change_and_repeat(self, power: Results, name: str) -> None:
        assert_thrice(power, name)
        states = ["shut off", "running"] if name == "start" else ["running", "shut off"]
        diff = power[name]["diff"]
        assert [diff["before"]["state"], diff["after"]["state"]] == states
        assert power[name]["state"] == states[1]

    def test_a_guest_that_listens_is_not_forced(self, power: Results) -> None:
        assert power["shut down"]["stop_forced"] is False
        assert power["shut down"]["stop_requests"] >= 1

    def test_abort_leaves_it_running_and_says_how_often_it_was_asked(self, power: Results) -> None:
        result = power["abort"]
        assert result["code"] == "GUEST_DID_NOT_STOP"
        assert STUBBORN.name in result["msg"]
        assert "was asked 3 times" in result["msg"]
        assert "is running still" in result["msg"]

    def test_force_asks_first_and_then_pulls_the_plug(self, power: Results) -> None:
        assert (power["force"]["stop_forced"], power["force"]["stop_requests"]) == (True, 3)
        assert (power["pull the plug"]["stop_forced"], power["pull the plug"]["stop_requests"]) == (True, 0)

    def test_unknown_guest(self, power: Results) -> None:
        assert power["nobody"]["code"] == "DOMAIN_NOT_FOUND"
        assert f"{PREFIX}nobody" in power["nobody"]["msg"]


@pytest.fixture(scope="module")
def defined(power: Results, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What domain_define and disk_resize returned for guests that are off."""
    disk = {"path": f"{PAPER.directory}/disk", "format": "qcow2"}
    return run_tasks(
        tmp_path_factory.mktemp("define"),
        [
            *thrice("enlarge", "domain_define", name=PAPER.name, vcpus=2, memory_mib=96),
            call("undefine saved", "domain_define", name=SAVED.name, state="absent"),
            *thrice("undefine", "domain_define", name=SAVED.name, state="absent", managed_save="remove"),
            *thrice("grow", "disk_resize", size_bytes=128 * MIB, **disk),
            call("shrink", "disk_resize", size_bytes=64 * MIB, **disk),
            call("strange", "disk_resize", size_bytes=256 * MIB, path=disk["path"], format="vmdk"),
            call("missing", "disk_resize", size_bytes=256 * MIB, path=f"{PAPER.directory}/none", format="raw"),
        ],
    )


class TestDefine:
    """domain_define."""

    def test_change(self, defined: Results) -> None:
        assert_thrice(defined, "enlarge")
        paths = {path.removesuffix("/text()") for path in defined["enlarge"]["changed_xpaths"]}
        assert paths == {"/domain/vcpu", "/domain/memory", "/domain/currentMemory"}
        xml = lab.shell("c1", f"virsh dumpxml --inactive {PAPER.name}")
        assert "<vcpu placement='static'>2</vcpu>" in xml
        assert "<memory unit='KiB'>98304</memory>" in xml

    def test_diff_is_before_and_after(self, defined: Results) -> None:
        diff = defined["enlarge, checked"]["diff"]
        assert ">1</vcpu>" in diff["before"]
        assert ">2</vcpu>" in diff["after"]

    def test_absent(self, defined: Results) -> None:
        assert defined["undefine saved"]["code"] == "MANAGED_SAVE"
        assert SAVED.name in defined["undefine saved"]["msg"]
        assert_thrice(defined, "undefine")
        assert SAVED.name not in lab.shell("c1", "virsh list --all --name").split()

    def test_a_guest_that_runs_is_not_undefined(self, power: Results) -> None:
        assert power["undefine running"]["code"] == "WRONG_STATE"
        assert STUBBORN.name in power["undefine running"]["msg"]


class TestResize:
    """disk_resize."""

    def test_grow(self, defined: Results) -> None:
        assert_thrice(defined, "grow")
        assert defined["grow"]["diff"] == {"before": {"size_bytes": 64 * MIB}, "after": {"size_bytes": 128 * MIB}}
        info = json.loads(lab.shell("c1", f"qemu-img info --output=json -f qcow2 {PAPER.directory}/disk"))
        assert info["virtual-size"] == 128 * MIB

    @pytest.mark.parametrize(
        ("name", "code"), [("shrink", "DISK_SHRINK"), ("strange", "FORMAT_UNSUPPORTED"), ("missing", "DISK_NOT_A_FILE")]
    )
    def test_refusals(self, defined: Results, name: str, code: str) -> None:
        assert defined[name]["code"] == code
        assert PAPER.directory in defined[name]["msg"]

    def test_an_image_in_use_is_refused(self, power: Results) -> None:
        result = power["grow in use"]
        assert result["code"] == "DISK_IN_USE"
        assert f"{STUBBORN.directory}/disk" in result["msg"]
        assert "qemu-system" in result["msg"]


@pytest.fixture(scope="module")
def images() -> Iterator[None]:
    """On c1 an image that is mostly holes and one of random bytes; on c2 a place for the migration user."""
    hollow = f"truncate -s 2G {WORK}/hollow && dd if=/dev/urandom of={WORK}/hollow bs=1M count=8 seek=512 conv=notrunc"
    full = f"dd if=/dev/urandom of={WORK}/full bs=1M count=64"
    try:
        lab.shell("c1", f"mkdir {WORK} && {hollow} && {full}")
        lab.shell("c2", f"install -d -o kvmops -m 700 {COPY}")
        yield
    finally:
        lab.parallel(lambda host: lab.remote(host, "sweep", PREFIX), lab.HOSTS)


def _copy(file: str, **other: Any) -> dict[str, Any]:
    return {"src": [f"{WORK}/{file}"], "dest": COPY, "address": lab.ADDRESSES["c2"], **other}


@pytest.fixture(scope="module")
def copied(images: None, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What disk_copy returned for the image that is mostly holes; in the end one byte of the copy is flipped."""
    flip = (
        f"stamp=$(stat -c %y {COPY}/hollow); printf X | dd of={COPY}/hollow bs=1 seek=7 conv=notrunc status=none; "
        f'touch -d "$stamp" {COPY}/hollow'
    )
    flipping = {"name": "flip", "ansible.builtin.shell": flip, "delegate_to": "c2"}
    tasks = [
        {**call("copy, checked", "disk_copy", **_copy("hollow", compress=True)), "check_mode": True},
        {"name": "look", "ansible.builtin.command": f"ls {COPY}", "delegate_to": "c2"},
        call("copy", "disk_copy", **_copy("hollow", compress=True)),
        call("copy, again", "disk_copy", **_copy("hollow", compress=True, verify="none")),
        {"name": "size", "ansible.builtin.command": f"stat -c '%s %b' {COPY}/hollow", "delegate_to": "c2"},
        flipping,
        call("compare", "disk_copy", **_copy("hollow", compress=True)),
        call("lost", "disk_copy", **_copy("none")),
    ]
    return run_tasks(tmp_path_factory.mktemp("copy"), tasks)


class TestCopy:
    """disk_copy."""

    def test_check_mode_says_what_and_copies_nothing(self, copied: Results) -> None:
        assert copied["copy, checked"]["changed"] is True
        assert [one["name"] for one in copied["copy, checked"]["steps"]] == ["copy", "verify"]
        assert copied["look"]["stdout"] == ""

    def test_holes_are_not_sent(self, copied: Results) -> None:
        assert 8 * MIB < copied["copy"]["bytes_sent"] < 16 * MIB

    def test_sparse_stays_sparse(self, copied: Results) -> None:
        length, blocks = (int(word) for word in copied["size"]["stdout"].split())
        assert length == 2048 * MIB
        assert 8 * MIB <= blocks * 512 < 24 * MIB

    def test_a_second_copy_sends_next_to_nothing(self, copied: Results) -> None:
        assert copied["copy, again"]["bytes_sent"] < MIB

    def test_a_flipped_byte_is_found(self, copied: Results) -> None:
        assert copied["compare"]["code"] == "COPY_DIFFERS"
        assert "hollow" in copied["compare"]["msg"]

    def test_a_source_that_is_not_there(self, copied: Results) -> None:
        assert copied["lost"]["code"] == "PATH_LOST"
        assert f"{WORK}/none" in copied["lost"]["msg"]

    def test_an_interrupted_copy_goes_on_where_it_was(self, images: None, tmp_path: Path) -> None:
        slow = call("slow", "disk_copy", **_copy("full", bandwidth_mib_s=8))
        seen: dict[str, Mapping[str, Any]] = {}
        worker = threading.Thread(target=lambda: seen.update(run_tasks(tmp_path, [slow])))
        worker.start()
        lab.wait_for(f"24 MiB in {COPY}/full", lambda: _written(f"{COPY}/full") > 24 * MIB, timeout_s=60)
        assert lab.remote("c1", "end_copy", COPY) != []
        worker.join(timeout=60)
        assert seen["slow"]["code"] == "COPY_FAILED"
        resumed = run_tasks(tmp_path, [call("resume", "disk_copy", **_copy("full", resume=True))])["resume"]
        assert resumed.get("msg", "") == ""
        assert 0 < resumed["bytes_sent"] < 42 * MIB


def _written(path: str) -> int:
    """How far the copy on c2 has come, bytes; 0 when there is no such file. XFS allocates ahead of what is written."""
    return int(lab.shell("c2", f"stat -c %s {path} 2>/dev/null || echo 0"))
