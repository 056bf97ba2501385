# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The libvirt definition of a lab guest, and reading it back."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .config import GUEST_BRIDGE, IMAGES_DIR, INITRD, KERNEL
from .content import SEEDED
from .load import Load

# Only TCG: hardware virtualisation is not usable on the machines this runs on.
TEMPLATE = """\
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mib}</memory>
  <currentMemory unit='MiB'>{memory_mib}</currentMemory>
  <vcpu placement='static'>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='maximum'/>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
{disks}    <interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='{bridge}'/>
      <model type='virtio'/>
    </interface>
    <serial type='file'>
      <source path='{directory}/console.log' append='on'/>
      <target port='0'/>
    </serial>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
"""
# Apart from console, panic and quiet they only save an emulated CPU work: probes, checks and mitigations.
KERNEL_WORDS = (
    "console=ttyS0",
    "panic=-1",
    "quiet",
    "edd=off",
    "no5lvl",
    "nokaslr",
    "mitigations=off",
    "tsc=reliable",
    "no_timer_check",
    "lsm=",
    "cryptomgr.notests",
    "audit=0",
    "clearcpuid=erms,fsrm",  # with these the kernel copies byte by byte, which takes five times as long here
)
DISK = """\
    <disk type='file' device='disk'>
      <driver name='qemu' type='{format}' cache='none'/>
      <source file='{file}'/>
      <target dev='{target}' bus='virtio'/>
    </disk>
"""
CONFIG_DRIVE = """\
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='{file}'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
"""


BASES = "_base"


@dataclass(frozen=True)
class GuestSpec:
    """What a guest is asked to be."""

    name: str
    uuid: str
    vcpus: int = 1
    memory_mib: int = 256
    root_gib: int = 1
    image_format: str = "qcow2"
    data_mib: int = 16
    content: str = SEEDED
    backing: bool = False
    disks: int = 1
    config_drive: bool = False
    ignore_acpi: bool = False
    hang: bool = False
    ticks: bool = False
    load: Load | None = None

    @property
    def directory(self) -> str:
        """Its own directory, as the hosts see it."""
        return f"{IMAGES_DIR}/{self.name}"

    @property
    def base(self) -> str:
        """What the root disk is an overlay on, if it is one, named as OpenStack does."""
        return f"{IMAGES_DIR}/{BASES}/{hashlib.sha1(self.name.encode()).hexdigest()}"

    def disk_names(self) -> list[str]:
        """File names of its writable disks, the root disk first."""
        return ["disk", *(f"disk{number}" for number in range(1, self.disks))]


def definition(spec: GuestSpec) -> str:
    """The XML libvirt is given."""
    words = [*KERNEL_WORDS, f"kvmlab.name={spec.name}"]
    if spec.ignore_acpi:
        words.append("kvmlab.noacpi")
    if spec.hang:
        words.append("kvmlab.hang")
    if spec.ticks:
        words.append("kvmlab.ticks")
    if spec.load:
        words.append(f"kvmlab.load={spec.load}")
    return TEMPLATE.format(
        name=escape(spec.name),
        uuid=spec.uuid,
        memory_mib=spec.memory_mib,
        vcpus=spec.vcpus,
        kernel=KERNEL,
        initrd=INITRD,
        cmdline=escape(" ".join(words)),
        disks=_disks(spec),
        mac=_mac(spec.name),
        bridge=GUEST_BRIDGE,
        directory=escape(spec.directory),
    )


def _disks(spec: GuestSpec) -> str:
    parts = [
        DISK.format(format=spec.image_format, file=f"{spec.directory}/{file}", target=target_of(number))
        for number, file in enumerate(spec.disk_names())
    ]
    if spec.config_drive:
        parts.append(CONFIG_DRIVE.format(file=f"{spec.directory}/disk.config"))
    return "".join(parts)


def target_of(number: int) -> str:
    """The name the guest has for its n-th disk."""
    return f"vd{chr(ord('a') + number)}"


def _mac(name: str) -> str:
    tail = hashlib.sha256(name.encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


@dataclass(frozen=True)
class DiskSource:
    """One disk of a definition."""

    target: str
    file: str
    image_format: str
    read_only: bool


@dataclass(frozen=True)
class Defined:
    """What a definition says about a guest."""

    uuid: str
    vcpus: int
    memory_mib: int
    disks: tuple[DiskSource, ...]


def parse(xml: str) -> Defined:
    """Read a definition libvirt gave back."""
    root = ET.fromstring(xml)
    disks = []
    for disk in root.iterfind("devices/disk"):
        disks.append(
            DiskSource(
                target=_attribute(disk, "target", "dev"),
                file=_attribute(disk, "source", "file"),
                image_format=_attribute(disk, "driver", "type"),
                read_only=disk.find("readonly") is not None,
            )
        )
    # libvirt always gives memory back in KiB
    return Defined(
        uuid=root.findtext("uuid", ""),
        vcpus=int(root.findtext("vcpu", "0")),
        memory_mib=int(root.findtext("memory", "0")) // 1024,
        disks=tuple(disks),
    )


def _attribute(element: ET.Element, child: str, name: str) -> str:
    found = element.find(child)
    return "" if found is None else found.get(name, "")
