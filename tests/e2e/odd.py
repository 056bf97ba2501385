# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd guests, each with something that a move refuses. They are cheap: off, or no further than the BIOS."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import IMAGES, PREFIX, RECORDS

Step = Sequence[str]
"""A verb of remote/build.py and its arguments."""

TEMPLATE = """\
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  {head}
  <memory unit='MiB'>{memory}</memory>
  {vcpu}
  <os><type arch='x86_64' machine='q35'>hvm</type>{os}</os>
  <features><acpi/></features>
  {cpu}
  <on_poweroff>{on_poweroff}</on_poweroff>
  <devices>
    <emulator>{emulator}</emulator>
    {disk}
    {devices}
  </devices>
</domain>
"""
DISK = """\
<disk type='{kind}' device='{device}'><driver name='qemu' type='{format}'/>
<source {attribute}='{path}'{more}/><target dev='{target}' bus='{bus}'/>{inside}</disk>
"""
NAMESPACE = uuid.UUID("6b766d6f-7073-5000-8000-000000000000")
BOOT = "/var/lib/libvirt/boot"
PROGRAMS = "/usr/local/bin"
QEMU = "/usr/bin/qemu-system-x86_64"


def disk(path: str, **other: str) -> str:
    """A <disk> element."""
    plain = {
        "kind": "file",
        "device": "disk",
        "format": "qcow2",
        "attribute": "file",
        "more": "",
        "target": "vda",
        "bus": "virtio",
        "inside": "",
    }
    return DISK.format(path=path, **{**plain, **other})


def virsh(*words: str) -> Step:
    """A virsh command."""
    return ("run", "virsh", "--quiet", *words)


def qemu_img(*words: str) -> Step:
    """A qemu-img command that makes an image."""
    return ("run", "qemu-img", *words)


def image(path: str, size: str = "64M", *options: str) -> Step:
    """A qcow2 image."""
    return qemu_img("create", "-q", "-f", "qcow2", *options, path, size)


@dataclass(frozen=True)
class Odd:
    """One odd guest of c1."""

    short: str
    code: str
    also: tuple[str, ...] = ()
    """Codes that come with it and cannot be had apart."""
    says: str = ""
    """What the message must hold beside the guest's name."""
    xml: Mapping[str, str] = field(default_factory=dict)
    """Parts of the definition that are not the usual ones."""
    images: Callable[[str], Iterable[Step]] | None = None
    """Makes its images in a directory, when they are not the usual one."""
    after: Callable[[Odd], Iterable[Step]] = lambda _odd: ()
    """What happens to it once it is defined."""
    there: Callable[[Odd], Iterable[Step]] = lambda _odd: ()
    """What is made on c2."""
    place: str = ""
    """Its directory under the images, when it is not its name."""
    define: str = "define"
    by_uuid: bool = False
    """It is asked for by its UUID."""

    @property
    def name(self) -> str:
        """Its name on c1."""
        return f"{PREFIX}{self.short}"

    @property
    def uuid(self) -> str:
        """The same in every run."""
        return str(uuid.uuid5(NAMESPACE, self.short))

    @property
    def subject(self) -> str:
        """What it is asked for by."""
        return self.uuid if self.by_uuid else self.name

    @property
    def directory(self) -> str:
        """Its directory on c1."""
        return f"{IMAGES}/{self.place or self.name}"

    def definition(self, **other: str) -> str:
        """Its XML."""
        plain = {
            "name": self.name,
            "uuid": self.uuid,
            "head": "",
            "memory": "64",
            "vcpu": "<vcpu>1</vcpu>",
            "os": "",
            "cpu": "",
            "on_poweroff": "destroy",
            "emulator": QEMU,
            "disk": disk(f"{self.directory}/disk"),
            "devices": "",
        }
        xml = {key: text.replace("@DIR@", self.directory) for key, text in self.xml.items()}
        return TEMPLATE.format(**{**plain, **xml, **other})

    def steps(self) -> list[Step]:
        """How it is made on c1."""
        made = list(self.images(self.directory)) if self.images else [image(f"{self.directory}/disk")]
        return [
            ("run", "mkdir", "-p", "-m", "711", self.directory),
            *made,
            (self.define, self.definition()),
            *self.after(self),
        ]


def build(guests: Iterable[Odd]) -> None:
    """Make them all, on c1 and beside on c2."""
    here = [step for one in guests for step in one.steps()]
    there = [step for one in guests for step in one.there(one)]
    lab.parallel(lambda work: lab.remote(work[0], "build", work[1], timeout_s=120), [("c1", here), ("c2", there)])


def _paused(odd: Odd) -> Iterable[Step]:
    return (virsh("start", odd.name), virsh("suspend", odd.name))


def _checkpoint(odd: Odd) -> Iterable[Step]:
    taken = virsh("checkpoint-create-as", odd.name, "before")
    return (virsh("start", "--paused", odd.name), taken, virsh("destroy", odd.name))


def _block_job(odd: Odd) -> Iterable[Step]:
    copy = virsh("blockcopy", odd.name, "vda", f"{odd.directory}.copy", "--transient-job", "--format", "qcow2")
    return (virsh("start", odd.name), copy)


def _busy(odd: Odd) -> Iterable[Step]:
    lock = {
        "uuid": odd.uuid,
        "migration": f"{PREFIX}other",
        "owner": "ada@desk",
        "command": f"resize {odd.name}",
        "since": 1795000000.0,
    }
    return (("write", f"{RECORDS}/locks/{odd.uuid}.json", json.dumps(lock)),)


def _same_name(odd: Odd) -> Iterable[Step]:
    other = odd.definition(uuid=str(uuid.uuid5(NAMESPACE, "stranger")), disk="")
    return (("define", other),)


def _same_uuid(odd: Odd) -> Iterable[Step]:
    return (("define", odd.definition(name=f"{odd.name}-copy", disk="")),)


def _data_file(directory: str) -> Iterable[Step]:
    return (image(f"{directory}/disk", "64M", "-o", f"data_file={directory}/data,data_file_raw=on"),)


def _chain(directory: str) -> Iterable[Step]:
    base = f"{directory}/base"
    return (image(base), qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, f"{directory}/disk"))


def _old_snapshot(directory: str) -> Iterable[Step]:
    made = image(f"{directory}/disk", "64M", "-o", "compat=0.10")
    return (made, qemu_img("snapshot", "-c", "one", f"{directory}/disk"))


def _small_place(odd: Odd) -> Iterable[Step]:
    place = odd.directory.rpartition("/")[0]
    return (("run", "mkdir", place), ("run", "mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=8", "e2e", place))


def _link(path: str, program: str) -> Step:
    return ("run", "ln", "-s", program, path)


_NOVA = (
    "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'><nova:name>x</nova:name></nova:instance>"
)
_PCI = "<source><address domain='0' bus='0' slot='31' function='0'/></source>"
_MDEV = "<source><address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source>"
_CELL = "<numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa>"
_SKYLAKE = "<model fallback='forbid'>Skylake-Server</model><feature policy='require' name='avx512f'/>"

GUESTS = (
    Odd("suspended", "WRONG_STATE", says="paused", after=_paused),
    Odd("parked", "LEFTOVER_PATHS", says="_resize", after=lambda o: [("write", f"{o.directory}_resize/x", "foreign")]),
    Odd("arrived", "LEFTOVER_PATHS", there=lambda o: [("write", f"{o.directory}/x", "foreign")]),
    Odd("staged", "LEFTOVER_PATHS", says=".staging", there=lambda o: [("write", f"{o.directory}.0a.staging/x", "?")]),
    Odd("namesake", "NAME_TAKEN", by_uuid=True, there=_same_name),
    Odd("clone", "GUEST_ON_TWO_HOSTS", says="on c1 and on c2", there=_same_uuid),
    Odd(
        "bridge",
        "BRIDGE_MISSING",
        says="'br9'",
        xml={"devices": "<interface type='bridge'><source bridge='br9'/></interface>"},
    ),
    Odd(
        "network",
        "NETWORK_MISSING",
        says="'nonet'",
        xml={"devices": "<interface type='network'><source network='nonet'/></interface>"},
    ),
    Odd(
        "direct",
        "INTERFACE_UNSUPPORTED",
        says="eth9",
        xml={"devices": "<interface type='direct'><source dev='eth9' mode='bridge'/></interface>"},
    ),
    Odd(
        "machine",
        "MACHINE_UNSUPPORTED",
        says="pc-q35",
        xml={"emulator": f"{PROGRAMS}/{PREFIX}qemu-a", "cpu": "<cpu mode='maximum'/>"},
        there=lambda _o: [_link(f"{PROGRAMS}/{PREFIX}qemu-a", "/usr/bin/qemu-system-i386")],
        images=lambda d: [_link(f"{PROGRAMS}/{PREFIX}qemu-a", QEMU), image(f"{d}/disk")],
    ),
    Odd(
        "emulator",
        "EMULATOR_MISSING",
        says=f"{PREFIX}qemu-b",
        xml={"emulator": f"{PROGRAMS}/{PREFIX}qemu-b"},
        images=lambda d: [_link(f"{PROGRAMS}/{PREFIX}qemu-b", QEMU), image(f"{d}/disk")],
    ),
    Odd(
        "firmware",
        "FIRMWARE_MISSING",
        says=f"{PREFIX}kernel",
        xml={"os": f"<kernel>{BOOT}/{PREFIX}kernel</kernel>"},
        after=lambda _o: [("write", f"{BOOT}/{PREFIX}kernel", "")],
    ),
    Odd("cpu", "CPU_INCOMPATIBLE", xml={"cpu": f"<cpu mode='custom' match='exact' check='none'>{_SKYLAKE}</cpu>"}),
    Odd("snapshot", "SNAPSHOTS_UNSUPPORTED", after=lambda o: [virsh("snapshot-create-as", o.name, "one")]),
    Odd("checkpoint", "CHECKPOINTS_UNSUPPORTED", after=_checkpoint),
    Odd("saved", "MANAGED_SAVE", after=lambda o: [virsh("start", o.name), virsh("managedsave", o.name)]),
    Odd(
        "chain",
        "BACKING_UNREADABLE",
        says="/base",
        images=_chain,
        after=lambda o: [("run", "rm", f"{o.directory}/base")],
    ),
    Odd("datafile", "DATA_FILE", says="/data", images=_data_file),
    Odd("oldqcow", "QCOW2_V2_SNAPSHOTS", says="0.10", images=_old_snapshot),
    Odd("mismatch", "FORMAT_MISMATCH", says="qcow2", xml={"disk": disk("@DIR@/disk", format="raw")}),
    Odd(
        "vmdk",
        "FORMAT_UNSUPPORTED",
        says="vmdk",
        xml={"disk": disk("@DIR@/disk", format="vmdk")},
        images=lambda d: [qemu_img("create", "-q", "-f", "vmdk", f"{d}/disk", "64M")],
    ),
    Odd("gone", "DISK_MISSING", says="/disk", images=lambda _d: []),
    Odd("garbage", "DISK_UNREADABLE", says="/disk", images=lambda d: [("write", f"{d}/disk", "hello" * 999)]),
    Odd(
        "block",
        "DISK_NOT_A_FILE",
        says="/dev/zero",
        also=("DEST_PARENT_MISSING",),
        xml={"devices": disk("/dev/zero", kind="block", attribute="dev", format="raw", target="vdb")},
    ),
    Odd(
        "shareable",
        "DISK_SHAREABLE",
        xml={"disk": disk("@DIR@/disk", format="raw", inside="<shareable/>")},
        images=lambda d: [("run", "truncate", "-s", "64M", f"{d}/disk")],
    ),
    Odd("startup", "DISK_STARTUP_POLICY", xml={"disk": disk("@DIR@/disk", more=" startupPolicy='optional'")}),
    Odd("together", "DISK_USED_BY_OTHERS", says=f"{PREFIX}together-b", also=("DEST_PARENT_MISSING",)),
    Odd(
        "together-b",
        "DISK_USED_BY_OTHERS",
        place=f"{PREFIX}together",
        says=f"used by {PREFIX}together",
        also=("DEST_PARENT_MISSING",),
        images=lambda _d: [],
    ),
    Odd(
        "nested",
        "LAYOUT_ENTRY_UNSUPPORTED",
        says="more (directory)",
        after=lambda o: [("run", "mkdir", f"{o.directory}/more")],
    ),
    Odd(
        "medium",
        "LAYOUT_MEDIUM_ELSEWHERE",
        says=f"{PREFIX}medium",
        after=lambda _o: [("write", f"{BOOT}/{PREFIX}medium", "")],
        xml={
            "devices": disk(
                f"{BOOT}/{PREFIX}medium", device="cdrom", format="raw", target="sda", bus="sata", inside="<readonly/>"
            )
        },
    ),
    Odd(
        "nvram",
        "NVRAM_UNSUPPORTED",
        says="vars.fd",
        also=("FIRMWARE_MISSING",),
        xml={
            "os": f"<loader readonly='yes' type='pflash'>{BOOT}/{PREFIX}code.fd</loader>"
            "<nvram>/var/lib/libvirt/qemu/nvram/vars.fd</nvram>"
        },
    ),
    Odd(
        "tpm",
        "TPM_UNSUPPORTED",
        xml={"devices": "<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>"},
    ),
    Odd("hostdev", "HOST_DEVICE", xml={"devices": f"<hostdev mode='subsystem' type='pci'>{_PCI}</hostdev>"}),
    Odd(
        "mdev",
        "MEDIATED_DEVICE",
        xml={"devices": f"<hostdev mode='subsystem' type='mdev' model='vfio-pci'>{_MDEV}</hostdev>"},
    ),
    Odd(
        "filesystem",
        "FILESYSTEM_PASSTHROUGH",
        says="/srv",
        xml={"devices": "<filesystem type='mount'><source dir='/srv'/><target dir='srv'/></filesystem>"},
    ),
    Odd("numa", "NUMA_RESIZE", xml={"cpu": f"<cpu mode='maximum'>{_CELL}</cpu>"}),
    Odd("pinned", "PINNED_RESIZE", xml={"head": "<cputune><vcpupin vcpu='0' cpuset='0'/></cputune>"}),
    Odd(
        "maxmemory",
        "MAX_MEMORY_RESIZE",
        also=("NUMA_RESIZE",),
        xml={"head": "<maxMemory slots='2' unit='MiB'>1024</maxMemory>", "cpu": f"<cpu mode='maximum'>{_CELL}</cpu>"},
    ),
    Odd("hugepages", "HUGEPAGES_RESIZE", xml={"head": "<memoryBacking><hugepages/></memoryBacking>"}),
    Odd("plugged", "VCPU_CURRENT_RESIZE", says="1 of its 2", xml={"vcpu": "<vcpu current='1'>2</vcpu>"}),
    Odd("poweroff", "ON_POWEROFF_UNSUPPORTED", says="'restart'", xml={"on_poweroff": "restart"}),
    Odd("nova", "MANAGED_ELSEWHERE", says="Nova", xml={"head": f"<metadata>{_NOVA}</metadata>"}),
    Odd("transient", "TRANSIENT_DOMAIN", define="create"),
    Odd(
        "live",
        "LIVE_DIFFERS",
        says="memory 64 MiB running, 96 MiB stored",
        after=lambda o: [virsh("start", o.name), ("define", o.definition(memory="96"))],
    ),
    Odd("job", "BLOCK_JOB_ACTIVE", says="vda", after=_block_job),
    Odd("busy", "BUSY", says="ada@desk", after=_busy),
    Odd("parentless", "DEST_PARENT_MISSING", place=f"{PREFIX}parent/guest"),
    Odd(
        "cramped",
        "DEST_DISK_FULL",
        says="really free",
        also=("DEST_INODES_FULL",),
        place=f"{PREFIX}small/guest",
        there=lambda _o: [
            ("run", "mkdir", f"{IMAGES}/{PREFIX}small"),
            ("run", "mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=8", "e2e", f"{IMAGES}/{PREFIX}small"),
        ],
    ),
    Odd(
        "sealed", "STORAGE_UNKNOWN", after=lambda o: [("run", "mount", "--bind", "-o", "ro", o.directory, o.directory)]
    ),
)
