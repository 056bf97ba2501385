# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import FitFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import probe
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.fit import Visitor, survey
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID, domain_xml
from ansible_collections.kvmops.mobility.tests.unit.driver import libvirt_error

CPU = "<cpu mode='custom' match='exact'><model>Skylake-Server</model></cpu>"
CAPABILITIES = """<capabilities>
  <guest><os_type>hvm</os_type><arch name='x86_64'><emulator>/bin/true</emulator>
    <domain type='qemu'/><domain type='kvm'><emulator>/bin/sh</emulator></domain></arch></guest>
</capabilities>"""


class Kvm:
    """What a KVM host says; the test driver knows no domain capabilities and compares no CPUs."""

    def __init__(self, cpu: int = 2, machine_error: str = "") -> None:
        self.cpu = cpu
        self.machine_error = machine_error
        self.asked: list[tuple[Any, ...]] = []

    def getHostname(self) -> str:  # noqa: N802 - libvirt's name
        return "c2"

    def getCapabilities(self) -> str:  # noqa: N802 - libvirt's name
        return CAPABILITIES

    def getDomainCapabilities(self, *kind: Any) -> str:  # noqa: N802 - libvirt's name
        self.asked.append(kind)
        if self.machine_error:
            raise libvirt_error(libvirt.VIR_ERR_INVALID_ARG, self.machine_error)
        return "<domainCapabilities><vcpu max='288'/></domainCapabilities>"

    def compareHypervisorCPU(self, *kind: Any) -> int:  # noqa: N802 - libvirt's name
        self.asked.append(kind)
        return self.cpu


def ask(kvm: Kvm, directory: str = "/nonexistent/web1", token: str = "", **values: Any) -> FitFacts:
    xml = domain_xml(**{"emulator": "/bin/true", **values})
    return survey(Hypervisor(kvm), Visitor(xml, directory, token))


def test_a_hypervisor_that_takes_the_guest(tmp_path: Path) -> None:
    found = ask(Kvm(), str(tmp_path / "web1"))
    assert found.uuid == UUID
    assert (found.domain_type_ok, found.emulator_ok, found.machine_ok) == (True, True, True)
    assert (found.cpu, found.vcpus_max, found.capabilities_error) == ("identical", 288, "")
    assert (found.existing_paths, found.firmware_missing, found.parent_exists) == ((), (), True)
    space = os.statvfs(tmp_path)
    assert found.free_bytes == pytest.approx(space.f_bfree * space.f_frsize, rel=0.2)
    assert found.free_inodes >= 0


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"domain_type": "xen"}, "domain_type_ok", False),
        ({"domain_type": "qemu"}, "domain_type_ok", True),
        ({"arch": "s390x"}, "domain_type_ok", False),
        ({"emulator": "/usr/bin/no-such-qemu"}, "emulator_ok", False),
        ({"emulator": "/etc/passwd"}, "emulator_ok", False),
        ({"emulator": ""}, "emulator_ok", True),
        ({"extra": {"os": "<kernel>/no/vmlinuz</kernel>"}}, "firmware_missing", ("/no/vmlinuz",)),
    ],
)
def test_what_is_odd(values: dict[str, Any], field: str, expected: Any) -> None:
    assert getattr(ask(Kvm(), **values), field) == expected


def test_libvirts_words_when_it_refuses_the_machine() -> None:
    found = ask(Kvm(machine_error="unknown machine pc-q35-99"))
    assert (found.machine_ok, found.vcpus_max) == (False, 0)
    assert "unknown machine pc-q35-99" in found.capabilities_error


@pytest.mark.parametrize(
    ("answer", "cpu"), [(2, "superset"), (1, "identical"), (0, "incompatible"), (-1, "unsupported")]
)
def test_a_named_cpu_is_compared(answer: int, cpu: str) -> None:
    kvm = Kvm(answer)
    assert ask(kvm, extra={"domain": CPU}).cpu == cpu
    assert any("Skylake-Server" in str(one) for one in kvm.asked)


@pytest.mark.parametrize("element", ["", "<cpu mode='host-passthrough'/>", "<cpu mode='host-model'/>", "<cpu/>"])
def test_a_cpu_that_is_whatever_the_host_has_fits(element: str) -> None:
    assert ask(Kvm(0), extra={"domain": element}).cpu == "identical"


def test_names_that_are_taken(tmp_path: Path) -> None:
    for name in ("web1", "web1_resize", "web1_reverted", "web1.abc.staging", "web10", "web1.abc"):
        (tmp_path / name).mkdir()
    found = ask(Kvm(), str(tmp_path / "web1"))
    assert [Path(one).name for one in found.existing_paths] == [
        "web1",
        "web1_resize",
        "web1_reverted",
        "web1.abc.staging",
    ]


def test_without_the_parent_directory(tmp_path: Path) -> None:
    found = ask(Kvm(), str(tmp_path / "no" / "such" / "web1"))
    assert not found.parent_exists
    assert found.free_bytes > 0


def test_storage_that_both_see(tmp_path: Path) -> None:
    token = probe.plant(str(tmp_path), lambda: 0.0)
    assert ask(Kvm(), str(tmp_path), token).storage_shared == "yes"
    assert ask(Kvm(), str(tmp_path), token).seen == {str(tmp_path): "yes"}
    assert ask(Kvm(), str(tmp_path / "else"), token).storage_shared == "no"
    assert ask(Kvm(), str(tmp_path)).storage_shared == "unknown"


def test_a_driver_that_cannot_tell_refuses_with_its_words(bed: Bed) -> None:
    found = survey(bed.hypervisor, Visitor(bed.xml(), bed.directory, ""))
    assert not found.machine_ok
    assert "not supported" in found.capabilities_error
