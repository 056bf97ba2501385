# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt adds to a running guest is no difference; what an operator changed is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.live import live_difference

DOMAINS = Path(__file__).parents[3] / "data" / "domains"
DISK = (
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
    "<source file='/a.qcow2'/><target dev='vda'/></disk>"
)
NIC = "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface>"


def text(name: str) -> str:
    return (DOMAINS / f"{name}.xml").read_text(encoding="utf-8")


def domain(devices: str = "", head: str = "<memory>1048576</memory><vcpu>1</vcpu>") -> str:
    return f"<domain><name>web1</name>{head}<devices>{devices}</devices></domain>"


@pytest.mark.parametrize("name", ["debian-q35", "rhel-uefi-tpm"])
def test_a_guest_that_was_only_started_does_not_differ(name: str) -> None:
    assert live_difference(text(name), text(f"{name}.live")) == ""


@pytest.mark.parametrize(
    "name", ["debian-q35", "rhel-uefi-tpm", "host-bound", "nova", "ovirt", "interfaces", "debian-q35.live"]
)
def test_a_definition_does_not_differ_from_itself(name: str) -> None:
    assert live_difference(text(name), text(name)) == ""


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("static'>1</vcpu>", "static' current='1'>4</vcpu>", "vCPUs 4 running, 1 stored"),
        ("'KiB'>1048576</memory>", "'KiB'>2097152</memory>", "memory 2048 MiB running, 1024 MiB stored"),
        ("pc-q35-10.0", "pc-q35-9.2", "machine pc-q35-9.2 running, pc-q35-10.0 stored"),
        (
            "root.qcow2'",
            "root.snap1'",
            "disk vda file /var/lib/libvirt/images/web1/root.snap1 (qcow2) running, "
            "file /var/lib/libvirt/images/web1/root.qcow2 (qcow2) stored",
        ),
        (
            "<target dev='sda'",
            "<source file='/iso/a.iso' index='4'/><target dev='sda'",
            "cdrom sda file /iso/a.iso (raw) running, empty stored",
        ),
        ("  </devices>", f"{DISK.replace('vda', 'vdc')}</devices>", "disk vdc is only in the running guest"),
        ("  </devices>", f"{NIC}</devices>", "interface 52:54:00:00:00:01 is only in the running guest"),
        ("network='default'", "network='lan'", "network lan running, network default stored"),
        (
            "  </devices>",
            "<redirdev bus='usb' type='spicevmc'/></devices>",
            "device redirdev spicevmc is only in the running guest",
        ),
        (
            "  </devices>",
            "<controller type='scsi' index='0' model='virtio-scsi'/></devices>",
            "controller scsi 0 is only in the running guest",
        ),
        (
            "console.log' append",
            "other.log' append",
            "serial port 0 file /var/lib/libvirt/images/web1/other.log running",
        ),
        (
            "org.qemu.guest_agent.0' state",
            "other' state",
            "channel org.qemu.guest_agent.0 is only in the stored definition",
        ),
    ],
)
def test_what_was_changed_while_it_ran_is_named(old: str, new: str, difference: str) -> None:
    live = text("debian-q35.live")
    assert old in live
    assert difference in live_difference(text("debian-q35"), live.replace(old, new))


def test_several_differences_make_one_list() -> None:
    stored = domain(DISK)
    running = domain(DISK + DISK.replace("vda", "vdc"), head="<memory>2097152</memory><vcpu>1</vcpu>")
    assert live_difference(stored, running) == (
        "memory 2048 MiB running, 1024 MiB stored; disk vdc is only in the running guest"
    )


def test_vcpus_plugged_into_the_running_guest_only() -> None:
    stored = domain(head="<memory>1048576</memory><vcpu current='1'>4</vcpu>")
    running = domain(head="<memory>1048576</memory><vcpu current='3'>4</vcpu>")
    assert live_difference(stored, running) == "vCPUs online 3 running, 1 stored"


@pytest.mark.parametrize(
    ("stored", "running"),
    [
        pytest.param(
            domain(head="<memory>1048577</memory><vcpu>1</vcpu>"),
            domain(head="<memory>1049600</memory><currentMemory>524288</currentMemory><vcpu>1</vcpu>"),
            id="memory rounded up at the start, and a balloon",
        ),
        pytest.param(
            domain("<interface type='network'><mac address='52:54:00:AA:00:01'/><source network='lan'/></interface>"),
            domain(
                "<interface type='bridge'><mac address='52:54:00:aa:00:01'/>"
                "<source network='lan' portid='0' bridge='br7'/><target dev='vnet0'/></interface>"
            ),
            id="network that leads to a bridge",
        ),
        pytest.param(
            domain(
                "<hostdev mode='subsystem' type='usb'><source startupPolicy='optional'>"
                "<vendor id='0x1'/><product id='0x2'/></source></hostdev>"
            ),
            domain(
                "<hostdev mode='subsystem' type='usb'><source>"
                "<vendor id='0x1'/><product id='0x2'/><address bus='3' device='9'/></source></hostdev>"
            ),
            id="USB device found at an address",
        ),
        pytest.param(
            domain("<serial type='pty'><target port='0'/></serial>"),
            domain("<serial type='pty'><source path='/dev/pts/4'/><target port='0'/></serial>"),
            id="terminal",
        ),
        pytest.param(
            domain("<vsock model='virtio'><cid auto='yes'/></vsock>"),
            domain("<vsock model='virtio'><cid auto='yes' address='3'/></vsock>"),
            id="vsock number",
        ),
        pytest.param(
            domain(DISK),
            domain(
                DISK.replace(
                    "<target",
                    "<backingStore type='file' index='2'><format type='raw'/><source file='/b'/></backingStore><target",
                )
            ),
            id="backing chain",
        ),
    ],
)
def test_what_libvirt_adds_is_no_difference(stored: str, running: str) -> None:
    assert live_difference(stored, running) == ""


def test_a_host_device_unplugged_and_a_share_moved() -> None:
    stored = text("host-bound")
    running = stored.replace("bus='0x65'", "bus='0x66'").replace("dir='/srv/share'", "dir='/srv/other'")
    assert live_difference(stored, running) == (
        "host device pci 0000:65:00.0 is only in the stored definition; "
        "host device pci 0000:66:00.0 is only in the running guest; "
        "filesystem share /srv/other running, /srv/share stored"
    )


@pytest.mark.parametrize(
    ("stored", "running", "difference"),
    [
        ("<loader>/a.fd</loader>", "<loader>/b.fd</loader>", "loader /b.fd running, /a.fd stored"),
        ("<nvram>/a.fd</nvram>", "", "NVRAM none running, /a.fd stored"),
        ("", "<loader type='pflash'>/b.fd</loader><nvram>/b_VARS.fd</nvram>", ""),
    ],
)
def test_firmware(stored: str, running: str, difference: str) -> None:
    pair = [domain(head=f"<os>{one}</os>") for one in (stored, running)]
    assert live_difference(pair[0], pair[1]) == difference
