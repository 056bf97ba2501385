# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import evidence
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Size
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID
from ansible_collections.kvmops.mobility.tests.unit.driver import libvirt_error

NOTHING = {"probe": "", "probe_timeout_s": 5, "force": False}


def agent(vcpus: str = "0-2", memory_kib: int | None = 126_000, sectors: int | None = 4096) -> dict[str, Any]:
    """An agent inside a guest of 3 vCPUs, 128 MiB and 2 MiB of disk; None: that file cannot be opened."""
    files = {
        "/proc/meminfo": f"MemFree:  12 kB\nMemTotal:  {memory_kib} kB\nBuffers:  9 kB\n" if memory_kib else "",
        "/sys/block/vda/size": f"{sectors}\n" if sectors else "",
    }
    opened: list[str] = []

    def opens(path: str, mode: str) -> int:
        assert mode == "r"
        if not files[path]:
            raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "failed to open file")
        opened.append(path)
        return len(opened)

    def reads(handle: int, count: int) -> dict[str, str]:
        text = files[opened[handle - 1]]
        assert count > len(text)
        return {"buf-b64": base64.b64encode(text.encode()).decode()}

    return {
        "vcpus": {"vcpus": "0-2", "online": vcpus, "offlinable": ""},
        "guest-ping": {"alive": True},
        "guest-file-open": opens,
        "guest-file-read": reads,
        "guest-file-close": lambda handle: {"closed": opened.pop(handle - 1)},
    }


@pytest.fixture
def moved(bed: Bed) -> Bed:
    """A destination where the guest runs."""
    bed.images(bed.directory)
    image.grow(f"{bed.directory}/disk", "qcow2", 2 * MIB)
    bed.hypervisor.define(bed.xml(vcpu="<vcpu>3</vcpu>", memory_mib=128)).start()
    bed.keep_record("destination")
    return bed


def find(bed: Bed, **params: Any) -> Any:
    plan = evidence.plan(bed.context(Phase.CONFIRM, **{**NOTHING, **params}))
    assert plan.effects == ()
    return plan.result["evidence"]


def refused(bed: Bed, code: str, **params: Any) -> MobilityError:
    with pytest.raises(MobilityError) as error:
        find(bed, **params)
    assert error.value.code == code
    assert error.value.remedy
    return error.value


# --- the agent ---------------------------------------------------------------------------------------------------


def test_the_guest_itself_says_its_size(moved: Bed) -> None:
    moved.connection.answers.update(agent())
    assert find(moved) == {"kind": "agent", "vcpus": 3, "memory_mib": 123, "root_bytes": 2 * MIB}


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        pytest.param(agent(memory_kib=None), (3, None, 2 * MIB), id="memory cannot be read"),
        pytest.param(agent(sectors=None), (3, 123, None), id="the disk cannot be read"),
        pytest.param(agent(vcpus="0,1-2"), (3, 123, 2 * MIB), id="a list of CPUs"),
        pytest.param(agent(sectors=8192), (3, 123, 4 * MIB), id="a disk that was grown further"),
        pytest.param(agent(memory_kib=96 * 1024), (3, 96, 2 * MIB), id="a kernel that takes its part"),
        pytest.param(agent(memory_kib=128 * 1024), (3, 128, 2 * MIB), id="a kernel that takes nothing"),
    ],
)
def test_what_an_agent_may_say(moved: Bed, answers: dict[str, Any], found: tuple[int, int | None, int | None]) -> None:
    moved.connection.answers.update(answers)
    said = find(moved)
    assert (said["vcpus"], said["memory_mib"], said["root_bytes"]) == found


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        pytest.param(agent(vcpus="0-1"), "2 vCPUs inside, not 3", id="vCPUs"),
        pytest.param(agent(memory_kib=62_000), "60 MiB of memory inside, not about 128", id="the old memory"),
        pytest.param(agent(memory_kib=500_000), "488 MiB of memory inside", id="too much memory"),
        pytest.param(agent(sectors=2048), f"{MIB} bytes on vda inside, not {2 * MIB}", id="the old disk"),
    ],
)
def test_an_agent_that_speaks_against_it(moved: Bed, answers: dict[str, Any], words: str) -> None:
    moved.connection.answers.update(answers)
    error = refused(moved, "GUEST_SIZE_MISMATCH", force=True, probe="127.0.0.1:1")
    assert error.subject == "web1"
    assert words in str(error)


# --- no agent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param({}, id="no answer"),
        pytest.param({"guest-ping": {"alive": True}}, id="it answers the ping alone"),
    ],
)
def test_no_evidence_at_all(moved: Bed, answers: dict[str, Any]) -> None:
    moved.connection.answers.update(answers)
    error = refused(moved, "CONFIRM_NEEDS_EVIDENCE")
    assert isinstance(error, Refused)
    assert error.subject == "web1"
    assert "agent" in error.message
    assert "force=true" in error.remedy


def test_force_goes_on_with_a_warning(moved: Bed) -> None:
    assert find(moved, force=True)["kind"] == "forced"
    (warning,) = moved.warnings
    assert "web1" in warning
    assert "force=true" in warning


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def listening(request: pytest.FixtureRequest) -> Iterator[str]:
    """A port that accepts connections."""
    family: socket.AddressFamily = request.param
    address = "127.0.0.1" if family is socket.AF_INET else "::1"
    with socket.socket(family, socket.SOCK_STREAM) as server:
        try:
            server.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        server.listen()
        yield f"{address if family is socket.AF_INET else f'[{address}]'}:{server.getsockname()[1]}"


def test_a_port_that_answers(moved: Bed, listening: str) -> None:
    found = find(moved, probe=listening)
    assert (found["kind"], found["probe"]) == ("probe", listening)
    assert "agent" in found["agent"]
    assert moved.warnings == []


def test_a_port_that_does_not_answer(moved: Bed) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        error = refused(moved, "PROBE_FAILED", probe=f"127.0.0.1:{port}", force=True)
    assert f"127.0.0.1:{port} does not accept" in str(error)


@pytest.mark.parametrize("probe", ["192.0.2.1", "192.0.2.1:", ":22", "host:ssh", "22"])
def test_a_probe_that_is_none(moved: Bed, probe: str) -> None:
    assert probe in str(refused(moved, "VALUE_INVALID", probe=probe))


# --- not running -------------------------------------------------------------------------------------------------


def test_a_guest_that_is_off_is_looked_at_from_outside(moved: Bed) -> None:
    moved.domain().destroy()
    assert find(moved) == {"kind": "off", "images": {"vda": "consistent"}}


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (Size(4, 128, 2 * MIB), "3 vCPUs defined, not 4"),
        (Size(3, 256, 2 * MIB), "128 MiB of memory defined, not about 256"),
    ],
)
def test_an_off_guest_with_another_definition(bed: Bed, new: Size, words: str) -> None:
    bed.images(bed.directory)
    bed.hypervisor.define(bed.xml(vcpu="<vcpu>3</vcpu>", memory_mib=128))
    bed.keep_record("destination", new=new)
    assert words in str(refused(bed, "GUEST_SIZE_MISMATCH", force=True))


def test_an_off_guest_whose_disk_is_not_grown(bed: Bed) -> None:
    bed.images(bed.directory)
    bed.hypervisor.define(bed.xml(vcpu="<vcpu>3</vcpu>", memory_mib=128))
    bed.keep_record("destination")
    assert f"vda has {MIB} bytes, not {2 * MIB}" in str(refused(bed, "GUEST_SIZE_MISMATCH"))


def test_an_off_guest_whose_image_is_broken(moved: Bed) -> None:
    moved.domain().destroy()
    with open(f"{moved.directory}/disk", "r+b") as disk:
        disk.seek(65536 * 2)
        disk.write(bytes(64))
    assert refused(moved, "IMAGE_CORRUPT").subject == f"{moved.directory}/disk"


def test_a_guest_that_is_neither(moved: Bed) -> None:
    moved.connection.lookupByUUIDString(UUID).suspend()
    assert "is paused" in str(refused(moved, "GUEST_NOT_RUNNING", force=True))


def test_a_guest_that_is_gone(bed: Bed) -> None:
    bed.keep_record("destination")
    assert refused(bed, "DOMAIN_NOT_FOUND").subject == UUID
