# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of the planner and the checks: what each means, and what to do about it.

The guide's page of codes is made from this. A code is never renamed: operators match on it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding, Severity
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.runtime_codes import RUNTIME


@dataclass(frozen=True)
class CodeDoc:
    """One code of the guide."""

    code: str
    severity: Severity
    meaning: str
    remedy: str


def found(code: str, subject: str, message: str, remedy: str = "") -> Finding:
    """A finding with the code's severity, and its remedy where the check has no better one."""
    doc = CODES[code]
    return Finding(code, subject, message, remedy or doc.remedy, doc.severity)


def _block(code: str, meaning: str, remedy: str) -> CodeDoc:
    return CodeDoc(code, Severity.BLOCK, meaning, remedy)


def _warn(code: str, meaning: str, remedy: str) -> CodeDoc:
    return CodeDoc(code, Severity.WARN, meaning, remedy)


_AGAIN = "then run again"
_NOT_YET = "It cannot be carried yet"

REQUEST = (
    _block("VM_MISSING", "No guest was named.", "Name one: -e vm=NAME, or several in a vars file or as JSON."),
    _block("VM_DUPLICATE", "The same guest was named twice.", "Name each guest once, by name or by UUID."),
    _block("VALUE_INVALID", "A variable has a value that it cannot have.", "Correct the variable that is named."),
    _block("FLAVOR_INVALID", "A flavor's definition is wrong.", "Correct the flavor in the variable kvmops_flavors."),
    _block("FLAVOR_UNKNOWN", "There is no such flavor.", "Use one of those listed, or define it in kvmops_flavors."),
    _block(
        "FLAVOR_PART_UNMAPPED",
        "The flavor has an ephemeral or swap disk, for which a plain guest has no counterpart.",
        "Use a flavor where both are 0.",
    ),
    _block(
        "SIZE_MISSING",
        "A resize without a target size.",
        "Give -e flavor=NAME, or one or more of vcpus=, memory_mib= and root_gib=.",
    ),
    _block(
        "SIZE_NOT_ALLOWED",
        "A target size was given for an operation that keeps or knows the size.",
        "Leave the size out, or use kvmops.mobility.resize.",
    ),
    _block("DEST_REQUIRED", "A migrate without a destination.", "Give -e dest=HYPERVISOR, or dest=auto."),
    _block(
        "DEST_NOT_ALLOWED",
        "A destination was given for an operation that has none to choose.",
        "Leave dest out: confirm and revert know both hypervisors from the record.",
    ),
    _block(
        "DEST_SAME_UNSUPPORTED",
        "Resizing a guest where it is cannot be done yet.",
        "Name another hypervisor, or use dest=auto.",
    ),
    _block(
        "POLICY_INVALID",
        "The policy of a live migration is unknown, or has a part or value that it cannot have.",
        "Use nova, fast or gentle, or a mapping with the parts that differ from one of them.",
    ),
)

WHEREABOUTS = (
    _block(
        "GUEST_NOT_FOUND",
        "No hypervisor has a guest with that name or UUID.",
        "Use a name that exists, or add the guest's hypervisor to the inventory group 'hypervisors'.",
    ),
    _block(
        "GUEST_ON_TWO_HOSTS",
        "The name or UUID is defined on more than one hypervisor.",
        "Find out which one has the guest's current disks, undefine the other, " + _AGAIN + ".",
    ),
    _block(
        "HYPERVISOR_UNREACHABLE",
        "The guest is on no hypervisor that answered, and not all did.",
        "Bring the silent hypervisor back or take it out of the inventory, " + _AGAIN + ".",
    ),
    _block(
        "FACTS_MISSING",
        "A hypervisor did not tell what the plan needs to know.",
        "Run again; if it stays, look for that hypervisor's errors in the locate step.",
    ),
    _block(
        "BUSY",
        "Another operation works on the guest.",
        "Wait until it has ended; kvmops.mobility.status shows how far it is.",
    ),
    _block(
        "MIGRATION_OPEN",
        "A migration of the guest was begun and did not end.",
        "See kvmops.mobility.status for both sides; a confirm or revert that was interrupted is run again as it was.",
    ),
    _block(
        "ROOT_DISK_UNKNOWN",
        "Which disk is the root disk cannot be told.",
        "Name it by its target: -e root_disk=vda.",
    ),
    _block(
        "NO_DESTINATION",
        "dest=auto found no hypervisor that can take the guest.",
        "Lift the reason of one of the candidates, or name a destination to see all its reasons.",
    ),
)

GUEST = (
    _block(
        "WRONG_STATE",
        "The guest is neither running nor shut off (paused, in shutdown, crashed, pmsuspended).",
        "Resume it or shut it off, " + _AGAIN + ".",
    ),
    _warn(
        "JUST_STARTED",
        "The guest may still be booting and not hear a shutdown request.",
        "Nothing needs to be done: the request is repeated. Waiting a little makes the outage shorter.",
    ),
    _block(
        "TRANSIENT_DOMAIN",
        "The domain has no stored definition.",
        "Make it persistent: virsh dumpxml NAME > FILE; virsh define FILE.",
    ),
    _block(
        "LIVE_DIFFERS",
        "The running definition is not the stored one.",
        "Restart the guest so that both agree, or change the stored definition back, " + _AGAIN + ".",
    ),
    _block(
        "MANAGED_SAVE",
        "The guest has a managed save image.",
        "Start it and shut it down, or drop the image with virsh managedsave-remove, " + _AGAIN + ".",
    ),
    _block(
        "SNAPSHOTS_UNSUPPORTED",
        "The guest has snapshots, which cannot be carried yet.",
        "Delete them with virsh snapshot-delete, " + _AGAIN + ".",
    ),
    _block(
        "CHECKPOINTS_UNSUPPORTED",
        "The guest has checkpoints, which cannot be carried yet.",
        "Delete them with virsh checkpoint-delete, " + _AGAIN + "; the next backup will be a full one.",
    ),
    _block(
        "BLOCK_JOB_ACTIVE",
        "A block job (backup, mirror, commit) runs on a disk of the guest.",
        "Wait until it has ended or end it with virsh blockjob, " + _AGAIN + ".",
    ),
    _block(
        "ON_POWEROFF_UNSUPPORTED",
        "The guest would not stay off when it is shut down.",
        "Set <on_poweroff>destroy</on_poweroff> with virsh edit and restart the guest, " + _AGAIN + ".",
    ),
    _block(
        "MANAGED_ELSEWHERE",
        "Another manager (Nova, oVirt, KubeVirt, OpenNebula) owns the guest.",
        "Use that manager; or, if it no longer manages the guest, allow it with -e allow_managed=true.",
    ),
    _warn(
        "MANAGED_ALLOWED",
        "Another manager owns the guest, and allow_managed=true was given.",
        "Tell that manager, or it may undo the change.",
    ),
)

DEVICES = (
    _block(
        "NVRAM_UNSUPPORTED",
        "The guest boots by UEFI with variables in NVRAM.",
        f"{_NOT_YET}: leave the guest where it is.",
    ),
    _block("TPM_UNSUPPORTED", "The guest has a TPM.", f"{_NOT_YET}: leave the guest where it is."),
    _block(
        "HOST_DEVICE",
        "The guest uses a device of its hypervisor (PCI, USB, SCSI, vDPA, SR-IOV interface).",
        "Detach it with virsh detach-device --config and shut the guest down, " + _AGAIN + ".",
    ),
    _block(
        "MEDIATED_DEVICE",
        "The guest uses a mediated device of its hypervisor.",
        "Detach it with virsh detach-device --config and shut the guest down, " + _AGAIN + ".",
    ),
    _block(
        "FILESYSTEM_PASSTHROUGH",
        "A directory of the hypervisor is passed to the guest (virtiofs, 9p).",
        "Remove the <filesystem> with virsh edit and shut the guest down, " + _AGAIN + ".",
    ),
)

DISKS = (
    _block(
        "DISK_NOT_A_FILE",
        "A disk is not a regular file.",
        f"{_NOT_YET}: only disks in plain files can be moved. Detach this one, or leave the guest where it is.",
    ),
    _block("DISK_MISSING", "A disk's file is not there.", "Bring the file back, or detach or eject the disk."),
    _block(
        "DISK_UNREADABLE",
        "An image cannot be read.",
        "Look at it with qemu-img info -f FORMAT PATH on that hypervisor, repair it, " + _AGAIN + ".",
    ),
    _block(
        "DISK_SHAREABLE",
        "A disk may be written by several guests.",
        "Remove <shareable/> if no other guest uses it, or detach the disk.",
    ),
    _block(
        "DISK_STARTUP_POLICY",
        "The guest starts without the disk when its file is missing.",
        "Remove startupPolicy with virsh edit, " + _AGAIN + ".",
    ),
    _block(
        "DISK_USED_BY_OTHERS",
        "An image that would go with the guest is another guest's too, as a disk or as a backing file.",
        "Give each guest its own: detach it from one, or flatten the other's with virsh blockpull, " + _AGAIN + ".",
    ),
    _warn(
        "BACKING_CHAIN",
        "An image depends on backing files. The copy is flattened; they stay, and the destination needs none of them.",
        "Nothing has to be done. The copy takes as much as the image and what it uses of its backing files.",
    ),
    _block(
        "BACKING_FORMAT_UNKNOWN",
        "An image does not record the format of its backing file, which is never guessed from what is in it.",
        "Record it: qemu-img rebase -u -F FORMAT -b BACKING IMAGE while the guest is off, " + _AGAIN + ".",
    ),
    _block(
        "BACKING_UNREADABLE",
        "A backing file cannot be read, or is no file of the hypervisor.",
        "Look at the chain with qemu-img info --backing-chain, repair it, " + _AGAIN + ".",
    ),
    _block(
        "BACKING_DEFINED",
        "The definition names backing files, which would not be there at the destination.",
        "Remove <backingStore> from the disk with virsh edit: the image itself names them, " + _AGAIN + ".",
    ),
    _block(
        "BACKING_SNAPSHOTS",
        "An image has both backing files and internal snapshots, which flattening would lose.",
        "Delete the snapshots: qemu-img snapshot -d NAME IMAGE while the guest is off, " + _AGAIN + ".",
    ),
    _block(
        "DATA_FILE",
        "A qcow2 image keeps its data in another file.",
        f"{_NOT_YET}: convert it with qemu-img convert into one file, " + _AGAIN + ".",
    ),
    _block(
        "FORMAT_UNSUPPORTED",
        "The format of an image is not known or not one that is handled.",
        "Name the true format in the definition (<driver type=…>), or convert the image to qcow2 or raw.",
    ),
    _block(
        "FORMAT_MISMATCH",
        "An image looks like another format than the definition says; the guest may have written that header.",
        "Find out which is true. Never let it be detected: a guest can write a header that names files of the host.",
    ),
    _block(
        "QCOW2_V2_SNAPSHOTS",
        "A qcow2 version 2 image with internal snapshots cannot grow.",
        "Upgrade it with qemu-img amend -f qcow2 -o compat=1.1, or delete the snapshots, " + _AGAIN + ".",
    ),
    _block(
        "LAYOUT_NO_DIRECTORY",
        "The guest has no writable disk that is a file.",
        f"{_NOT_YET}: put its disk into an image file.",
    ),
    _block(
        "LAYOUT_ENTRY_UNSUPPORTED",
        "The guest's directory holds links, special files or sub-directories.",
        "Move them out of the guest's directory, " + _AGAIN + ".",
    ),
    _block(
        "LAYOUT_MEDIUM_ELSEWHERE",
        "A CD-ROM or other read-only medium does not come with the guest, and is not at the destination.",
        "Put it there at the same path, or eject it: virsh change-media NAME TARGET --eject --config --live, "
        + _AGAIN
        + ".",
    ),
    _block(
        "STORAGE_SHARED",
        "Both hypervisors see the guest's directory.",
        f"{_NOT_YET}: choose a destination with storage of its own.",
    ),
    _block(
        "STORAGE_UNKNOWN",
        "Whether both hypervisors see the guest's directory is not known.",
        "Look at the guest's directory on both, run again; it must be writable for the probe on the source.",
    ),
    _block(
        "SOURCE_DISK_FULL",
        "The source has no room to flatten images with backing files before they are sent.",
        "Free space there, or start the guest: transfer=mirror needs no room.",
    ),
    _block(
        "TRANSFER_IMPOSSIBLE",
        "The transfer that was asked for cannot be had.",
        "Leave transfer= out: the plan then takes the best that is possible, and names it.",
    ),
    _warn(
        "RSYNC_NO_ZSTD",
        "The images are mostly holes, and rsync cannot compress them away.",
        "Install rsync 3.2 or later with zstd on both hypervisors, or expect the full length on the wire.",
    ),
)

SIZE = (
    _block(
        "SAME_FLAVOR",
        "The guest has the size that was asked for.",
        "Nothing to do; to move it, use kvmops.mobility.migrate.",
    ),
    _block(
        "ROOT_TO_ZERO",
        "The new size has no root disk.",
        "Use a flavor with a root size, or give -e root_gib= beside it.",
    ),
    _block(
        "DISK_SHRINK",
        "The root disk would become smaller than it is.",
        "Use a flavor with at least the disk's size, or give -e root_gib= beside it.",
    ),
    _block(
        "NUMA_RESIZE",
        "The definition has NUMA cells and the size changes.",
        "Remove <numa> from the definition, or change the size by hand.",
    ),
    _block(
        "PINNED_RESIZE",
        "The definition pins vCPUs, threads or memory and the size changes.",
        "Remove <cputune> pins, cpuset and <numatune> from the definition, or change the size by hand.",
    ),
    _warn(
        "PINNED_MOVE",
        "The definition pins to processors or nodes of the source.",
        "Make sure that the destination has the same processors and nodes, or remove the pins.",
    ),
    _block(
        "MAX_MEMORY_RESIZE",
        "The definition has maxMemory and the size changes.",
        "Remove <maxMemory> from the definition, or change the size by hand.",
    ),
    _block(
        "HUGEPAGES_RESIZE",
        "The definition asks for huge pages and the size changes.",
        "Remove <hugepages> from the definition, or change the size by hand.",
    ),
    _warn(
        "HUGEPAGES_MOVE",
        "The definition asks for huge pages, which are set aside on each hypervisor.",
        "Make sure that the destination has as many free pages of that size.",
    ),
    _block(
        "VCPU_CURRENT_RESIZE",
        "Not all vCPUs are plugged and the size changes.",
        "Plug them all (virsh setvcpus --config) or lower the maximum, " + _AGAIN + ".",
    ),
)

PLACEMENT = (
    _block("DEST_UNKNOWN", "The destination is not in the inventory.", "Use a name of the group 'hypervisors'."),
    _block("DEST_UNREACHABLE", "The destination does not answer.", "Bring it back, or choose another destination."),
    _block("DEST_IS_SOURCE", "The guest is on the destination already.", "Choose another destination."),
    _block(
        "DEST_VCPUS_FULL",
        "The destination has too few vCPUs left by claim.",
        "Choose another destination, confirm open migrations there, or raise kvmops_capacity.cpu_ratio.",
    ),
    _block(
        "DEST_MEMORY_FULL",
        "The destination has too little memory left by claim.",
        "Choose another destination, confirm open migrations there, or raise kvmops_capacity.memory_ratio.",
    ),
    _block(
        "DEST_DISK_FULL",
        "The destination has too little disk left, by claim or really.",
        "Choose another destination, free space there, or (by claim only) raise kvmops_capacity.disk_ratio.",
    ),
    _warn(
        "DEST_MEMORY_LOW",
        "The claim fits, but less memory is free on the destination now than the guest has.",
        "Free memory there, or expect swapping or a failed start (which is undone).",
    ),
    _block("DEST_INODES_FULL", "The destination's file system has too few inodes left.", "Remove files there."),
    _block(
        "DEST_PARENT_MISSING",
        "The directory above the guest's own is not there.",
        "Make the same directory on the destination, with the same owner and mode as on the source.",
    ),
    _block(
        "GROUP_BROKEN",
        "The guest would come to a hypervisor that its group keeps it from (kvmops_groups).",
        "Choose another destination, move the others with it, or change the group.",
    ),
    _warn(
        "GROUP_WISH",
        "The guest comes to a hypervisor that its group would rather keep it from (kvmops_groups).",
        "Nothing has to be done; another destination would be better.",
    ),
    _block("NAME_TAKEN", "Another guest on the destination has the name.", "Rename one of them with virsh domrename."),
    _block(
        "UUID_TAKEN",
        "A domain on the destination has the guest's UUID.",
        "If it is a left-over, undefine it there; if it is a clone, give it a UUID of its own.",
    ),
    _block(
        "LEFTOVER_PATHS",
        "The guest's directory or one of its images, or their parked or staged name, exists already.",
        "See kvmops.mobility.status for whose they are; look into them, and remove or rename them yourself.",
    ),
    _block(
        "DIRECTORY_TAKEN",
        "Two guests of one call would use the same directory on the destination.",
        "Send them to different destinations, or rename one guest's directory.",
    ),
)

HOST = (
    _block(
        "BRIDGE_MISSING",
        "A bridge that the guest plugs into is not on the destination.",
        "Make the bridge there, or change the interface.",
    ),
    _block(
        "NETWORK_MISSING",
        "A libvirt network that the guest plugs into is not active on the destination.",
        "Define and start it there (virsh net-define, net-start, net-autostart), or change the interface.",
    ),
    _block(
        "INTERFACE_UNSUPPORTED",
        "An interface is of a kind whose other end cannot be checked on the destination.",
        "Use a bridge or a libvirt network for it.",
    ),
    _block("ARCH_UNSUPPORTED", "The destination is of another architecture.", "Choose a destination of the guest's."),
    _block(
        "DOMAIN_TYPE_UNSUPPORTED",
        "The destination does not offer the guest's domain type.",
        "For kvm: turn virtualization on in its firmware and load the kvm module; or choose another destination.",
    ),
    _block(
        "EMULATOR_MISSING",
        "The emulator that the guest runs with is not on the destination.",
        "Install it there under the same path, or remove <emulator> from the definition.",
    ),
    _block(
        "MACHINE_UNSUPPORTED",
        "The guest's machine type is not known on the destination.",
        "Choose a destination with a QEMU at least as new, or change the machine type of the guest.",
    ),
    _block("FIRMWARE_MISSING", "Files that the guest starts from are not there.", "Install them under the same paths."),
    _block(
        "CPU_INCOMPATIBLE",
        "The destination's CPU cannot give what the guest's CPU model asks for.",
        "Choose another destination, or a CPU model that both have.",
    ),
    _warn(
        "CPU_NOT_COMPARED",
        "The destination's libvirt or emulator cannot compare CPUs.",
        "Nothing needs to be done between equal hosts; a start that fails is undone.",
    ),
    _block(
        "VCPUS_OVER_MACHINE",
        "The guest would have more vCPUs than its machine type allows there.",
        "Ask for fewer vCPUs, or change the machine type of the guest.",
    ),
)

LIVE = (
    _block(
        "LIVE_OPTIONS_CONFLICT",
        "Options of a live migration cannot be had together, or not with the storage that the guest is on.",
        "Leave one of them out.",
    ),
    _block(
        "LIVE_TOO_OLD",
        "libvirt or QEMU on one side is older than what was asked for.",
        "Leave the option out, or update that hypervisor.",
    ),
    _warn(
        "LIVE_OPTION_LEFT_OUT",
        "An option was asked for and is not used, because of another one or of the guest's state.",
        "Nothing has to be done; leave the option out to be rid of the warning.",
    ),
    _block(
        "LIVE_QEMU_OLDER",
        "QEMU on the destination is older than on the source, and need not understand what that one sends.",
        "Choose a destination with a QEMU at least as new, or stop the guest for it: kvmops.mobility.migrate.",
    ),
    _warn(
        "LIVE_NO_WAY_BACK",
        "QEMU on the destination is newer: the guest may not come back live.",
        "Nothing has to be done; kvmops.mobility.migrate brings it back with a stop.",
    ),
    _warn(
        "CPU_PASSTHROUGH",
        "The guest sees the processor of its hypervisor as it is, and goes on with it on the other one.",
        "Make sure that both have the same processor and microcode, or give the guest a named CPU model.",
    ),
    _warn(
        "LIVE_PORTS_CLOSED",
        "The source does not get through to the ports that QEMU on the destination listens on for a migration.",
        "Let it through to 49152 to 49215 there, or to those that its qemu.conf names (migration_port_min).",
    ),
    _block(
        "LIVE_INTERNAL_SNAPSHOTS",
        "An image that would be copied has internal snapshots, which are not copied with it.",
        "Delete them with qemu-img snapshot -d NAME IMAGE while the guest is off, " + _AGAIN + ".",
    ),
    _block(
        "LIVE_CACHE_UNSAFE",
        "A disk on storage that both see is cached by the hypervisor, and libvirt does not migrate that.",
        "Set cache='none' for the disk with virsh edit and restart the guest, " + _AGAIN + ".",
    ),
    _warn(
        "LIVE_DISKS_GROW",
        "What is allocated of the disks fits on the destination, all that they may hold does not.",
        "Free space there, or watch it: a guest whose disk cannot grow is paused.",
    ),
    _warn(
        "LIVE_TLS_FRAGILE",
        "Before 9.0, QEMU could crash while it copied disks through TLS.",
        "Update QEMU, or leave tls=true out for guests whose disks are copied.",
    ),
    _warn(
        "LIVE_LISTEN",
        "Graphics or serial lines listen on an address that the destination may not have.",
        "Let them listen on 127.0.0.1 or on all addresses, or see that the destination has the address.",
    ),
    _warn(
        "CLOCKS_DIFFER",
        "The clocks of both hypervisors are apart, and the guest's may jump.",
        "Let both follow the same time server.",
    ),
)

CODES: Mapping[str, CodeDoc] = {
    doc.code: doc
    for doc in (
        *REQUEST,
        *WHEREABOUTS,
        *GUEST,
        *DEVICES,
        *DISKS,
        *SIZE,
        *PLACEMENT,
        *HOST,
        *LIVE,
        *(_block(*one) for one in RUNTIME),
    )
}
"""By code, in the order of the guide's page."""
