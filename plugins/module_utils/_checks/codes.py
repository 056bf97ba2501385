# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of the planner and the checks: what each means, and what to do about it.

The guide's page of codes is made from this. A code is never renamed: operators match on it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.code import AGAIN, CodeDoc, block, warn
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.disk_codes import DEVICES, DISKS
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.live_codes import LIVE
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.runtime_codes import RUNTIME


def found(code: str, subject: str, message: str, remedy: str = "") -> Finding:
    """A finding with the code's severity, and its remedy where the check has no better one."""
    doc = CODES[code]
    return Finding(code, subject, message, remedy or doc.remedy, doc.severity)


REQUEST = (
    block("VM_MISSING", "No guest was named.", "Name one: -e vm=NAME, or several in a vars file or as JSON."),
    block("VM_DUPLICATE", "The same guest was named twice.", "Name each guest once, by name or by UUID."),
    block("VALUE_INVALID", "A variable has a value that it cannot have.", "Correct the variable that is named."),
    block("FLAVOR_INVALID", "A flavor's definition is wrong.", "Correct the flavor in the variable kvmops_flavors."),
    block("FLAVOR_UNKNOWN", "There is no such flavor.", "Use one of those listed, or define it in kvmops_flavors."),
    block(
        "FLAVOR_PART_UNMAPPED",
        "The flavor has an ephemeral or swap disk, for which a plain guest has no counterpart.",
        "Use a flavor where both are 0.",
    ),
    block(
        "SIZE_MISSING",
        "A resize without a target size.",
        "Give -e flavor=NAME, or one or more of vcpus=, memory_mib= and root_gib=.",
    ),
    block(
        "SIZE_NOT_ALLOWED",
        "A target size was given for an operation that keeps or knows the size.",
        "Leave the size out, or use kvmops.mobility.resize.",
    ),
    block("DEST_REQUIRED", "A migrate without a destination.", "Give -e dest=HYPERVISOR, or dest=auto."),
    block(
        "DEST_NOT_ALLOWED",
        "A destination was given for an operation that has none to choose.",
        "Leave dest out: confirm and revert know both hypervisors from the record.",
    ),
    block(
        "DEST_SAME_UNSUPPORTED",
        "Resizing a guest where it is cannot be done yet.",
        "Name another hypervisor, or use dest=auto.",
    ),
    block(
        "POLICY_INVALID",
        "The policy of a live migration is unknown, or has a part or value that it cannot have.",
        "Use balanced, must_finish, nova, fast or gentle, or a mapping with the parts that differ from one of them.",
    ),
)

WHEREABOUTS = (
    block(
        "GUEST_NOT_FOUND",
        "No hypervisor has a guest with that name or UUID.",
        "Use a name that exists, or add the guest's hypervisor to the inventory group 'hypervisors'.",
    ),
    block(
        "GUEST_ON_TWO_HOSTS",
        "The name or UUID is defined on more than one hypervisor.",
        "Find out which one has the guest's current disks, undefine the other, " + AGAIN + ".",
    ),
    block(
        "HYPERVISOR_UNREACHABLE",
        "The guest is on no hypervisor that answered, and not all did.",
        "Bring the silent hypervisor back or take it out of the inventory, " + AGAIN + ".",
    ),
    block(
        "FACTS_MISSING",
        "A hypervisor did not tell what the plan needs to know.",
        "Run again; if it stays, look for that hypervisor's errors in the locate step.",
    ),
    block(
        "BUSY",
        "Another operation works on the guest.",
        "Wait until it has ended; kvmops.mobility.status shows how far it is. When nobody works on it any more, "
        "kvmops.mobility.recover goes on with it or takes it back.",
    ),
    block(
        "MIGRATION_OPEN",
        "A migration of the guest was begun and did not end.",
        "See kvmops.mobility.status for both sides; a confirm or revert that was interrupted is run again as it was.",
    ),
    block(
        "LOCK_UNREADABLE",
        "The lock file of the guest cannot be read, so nobody can tell whether it is being worked on.",
        "When kvmops.mobility.status shows that nobody works on it, remove its file from /var/lib/kvmops/locks there.",
    ),
    warn(
        "CLAIM_UNKNOWN",
        "A migration on the destination cannot be read. It is counted with what its record still says; that may be "
        "less than it takes.",
        "Leave room for that guest until kvmops.mobility.status shows no RECORD_UNREADABLE or RECORD_NEWER there.",
    ),
    block(
        "ROOT_DISK_UNKNOWN",
        "Which disk is the root disk cannot be told.",
        "Name it by its target: -e root_disk=vda.",
    ),
    block(
        "NO_DESTINATION",
        "dest=auto found no hypervisor that can take the guest.",
        "Lift the reason of one of the candidates, or name a destination to see all its reasons.",
    ),
)

GUEST = (
    block(
        "WRONG_STATE",
        "The guest is neither running nor shut off (paused, in shutdown, crashed, pmsuspended).",
        "Resume it or shut it off, " + AGAIN + ".",
    ),
    warn(
        "JUST_STARTED",
        "The guest may still be booting and not hear a shutdown request.",
        "Nothing needs to be done: the request is repeated. Waiting a little makes the outage shorter.",
    ),
    block(
        "TRANSIENT_DOMAIN",
        "The domain has no stored definition.",
        "Make it persistent: virsh dumpxml NAME > FILE; virsh define FILE.",
    ),
    block(
        "LIVE_DIFFERS",
        "The running definition is not the stored one.",
        "Restart the guest so that both agree, or change the stored definition back, " + AGAIN + ".",
    ),
    block(
        "MANAGED_SAVE",
        "The guest has a managed save image.",
        "Start it and shut it down, or drop the image with virsh managedsave-remove, " + AGAIN + ".",
    ),
    block(
        "SNAPSHOTS_UNSUPPORTED",
        "The guest has snapshots, which cannot be carried yet.",
        "Delete them with virsh snapshot-delete, " + AGAIN + ".",
    ),
    block(
        "CHECKPOINTS_UNSUPPORTED",
        "The guest has checkpoints, which cannot be carried yet.",
        "Delete them with virsh checkpoint-delete, " + AGAIN + "; the next backup will be a full one.",
    ),
    block(
        "BLOCK_JOB_ACTIVE",
        "A block job (backup, mirror, commit) runs on a disk of the guest.",
        "Wait until it has ended or end it with virsh blockjob, " + AGAIN + ".",
    ),
    block(
        "ON_POWEROFF_UNSUPPORTED",
        "The guest would not stay off when it is shut down.",
        "Set <on_poweroff>destroy</on_poweroff> with virsh edit and restart the guest, " + AGAIN + ".",
    ),
    block(
        "MANAGED_ELSEWHERE",
        "Another manager (Nova, oVirt, KubeVirt, OpenNebula) owns the guest.",
        "Use that manager; or, if it no longer manages the guest, allow it with -e allow_managed=true.",
    ),
    warn(
        "MANAGED_ALLOWED",
        "Another manager owns the guest, and allow_managed=true was given.",
        "Tell that manager, or it may undo the change.",
    ),
)

SIZE = (
    block(
        "SAME_FLAVOR",
        "The guest has the size that was asked for.",
        "Nothing to do; to move it, use kvmops.mobility.migrate.",
    ),
    block(
        "ROOT_TO_ZERO",
        "The new size has no root disk.",
        "Use a flavor with a root size, or give -e root_gib= beside it.",
    ),
    block(
        "DISK_SHRINK",
        "The root disk would become smaller than it is.",
        "Use a flavor with at least the disk's size, or give -e root_gib= beside it.",
    ),
    block(
        "NUMA_RESIZE",
        "The definition has NUMA cells and the size changes.",
        "Remove <numa> from the definition, or change the size by hand.",
    ),
    block(
        "PINNED_RESIZE",
        "The definition pins vCPUs, threads or memory and the size changes.",
        "Remove <cputune> pins, cpuset and <numatune> from the definition, or change the size by hand.",
    ),
    warn(
        "PINNED_MOVE",
        "The definition pins to processors or nodes of the source.",
        "Make sure that the destination has the same processors and nodes, or remove the pins.",
    ),
    block(
        "MAX_MEMORY_RESIZE",
        "The definition has maxMemory and the size changes.",
        "Remove <maxMemory> from the definition, or change the size by hand.",
    ),
    block(
        "HUGEPAGES_RESIZE",
        "The definition asks for huge pages and the size changes.",
        "Remove <hugepages> from the definition, or change the size by hand.",
    ),
    warn(
        "HUGEPAGES_MOVE",
        "The definition asks for huge pages, which are set aside on each hypervisor.",
        "Make sure that the destination has as many free pages of that size.",
    ),
    block(
        "VCPU_CURRENT_RESIZE",
        "Not all vCPUs are plugged and the size changes.",
        "Plug them all (virsh setvcpus --config) or lower the maximum, " + AGAIN + ".",
    ),
)

PLACEMENT = (
    block("DEST_UNKNOWN", "The destination is not in the inventory.", "Use a name of the group 'hypervisors'."),
    block("DEST_UNREACHABLE", "The destination does not answer.", "Bring it back, or choose another destination."),
    block("DEST_IS_SOURCE", "The guest is on the destination already.", "Choose another destination."),
    block(
        "DEST_VCPUS_FULL",
        "The destination has too few vCPUs left by claim.",
        "Choose another destination, confirm open migrations there, or raise kvmops_capacity.cpu_ratio.",
    ),
    block(
        "DEST_MEMORY_FULL",
        "The destination has too little memory left by claim.",
        "Choose another destination, confirm open migrations there, or raise kvmops_capacity.memory_ratio.",
    ),
    block(
        "DEST_DISK_FULL",
        "The destination has too little disk left, by claim or really.",
        "Choose another destination, free space there, or (by claim only) raise kvmops_capacity.disk_ratio.",
    ),
    warn(
        "DEST_MEMORY_LOW",
        "The claim fits, but less memory is free on the destination now than the guest has.",
        "Free memory there, or expect swapping or a failed start (which is undone).",
    ),
    block("DEST_INODES_FULL", "The destination's file system has too few inodes left.", "Remove files there."),
    block(
        "DEST_PARENT_MISSING",
        "The directory above the guest's own is not there.",
        "Make the same directory on the destination, with the same owner and mode as on the source.",
    ),
    block(
        "GROUP_BROKEN",
        "The guest would come to a hypervisor that its group keeps it from (kvmops_groups).",
        "Choose another destination, move the others with it, or change the group.",
    ),
    warn(
        "GROUP_WISH",
        "The guest comes to a hypervisor that its group would rather keep it from (kvmops_groups).",
        "Nothing has to be done; another destination would be better.",
    ),
    block("NAME_TAKEN", "Another guest on the destination has the name.", "Rename one of them with virsh domrename."),
    block(
        "UUID_TAKEN",
        "A domain on the destination has the guest's UUID.",
        "If it is a left-over, undefine it there; if it is a clone, give it a UUID of its own.",
    ),
    block(
        "LEFTOVER_PATHS",
        "The guest's directory or one of its images, or their parked or staged name, exists already.",
        "See kvmops.mobility.status for whose they are; look into them, and remove or rename them yourself.",
    ),
    block(
        "DIRECTORY_TAKEN",
        "Two guests of one call would use the same directory on the destination.",
        "Send them to different destinations, or rename one guest's directory.",
    ),
)

HOST = (
    block(
        "BRIDGE_MISSING",
        "A bridge that the guest plugs into is not on the destination.",
        "Make the bridge there, or change the interface.",
    ),
    block(
        "NETWORK_MISSING",
        "A libvirt network that the guest plugs into is not active on the destination.",
        "Define and start it there (virsh net-define, net-start, net-autostart), or change the interface.",
    ),
    block(
        "INTERFACE_UNSUPPORTED",
        "An interface is of a kind whose other end cannot be checked on the destination.",
        "Use a bridge or a libvirt network for it.",
    ),
    block("ARCH_UNSUPPORTED", "The destination is of another architecture.", "Choose a destination of the guest's."),
    block(
        "DOMAIN_TYPE_UNSUPPORTED",
        "The destination does not offer the guest's domain type.",
        "For kvm: turn virtualization on in its firmware and load the kvm module; or choose another destination.",
    ),
    block(
        "EMULATOR_MISSING",
        "The emulator that the guest runs with is not on the destination.",
        "Install it there under the same path, or remove <emulator> from the definition.",
    ),
    block(
        "MACHINE_UNSUPPORTED",
        "The guest's machine type is not known on the destination.",
        "Choose a destination with a QEMU at least as new, or change the machine type of the guest.",
    ),
    block("FIRMWARE_MISSING", "Files that the guest starts from are not there.", "Install them under the same paths."),
    block(
        "CPU_INCOMPATIBLE",
        "The destination's CPU cannot give what the guest's CPU model asks for.",
        "Choose another destination, or a CPU model that both have.",
    ),
    warn(
        "CPU_NOT_COMPARED",
        "The destination's libvirt or emulator cannot compare CPUs.",
        "Nothing needs to be done between equal hosts; a start that fails is undone.",
    ),
    block(
        "VCPUS_OVER_MACHINE",
        "The guest would have more vCPUs than its machine type allows there.",
        "Ask for fewer vCPUs, or change the machine type of the guest.",
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
        *(block(*one) for one in RUNTIME),
    )
}
"""By code, in the order of the guide's page."""
