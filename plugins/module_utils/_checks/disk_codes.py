# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of a guest's devices and disks.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.code import AGAIN, NOT_YET, block, warn

DEVICES = (
    block(
        "NVRAM_UNSUPPORTED",
        "The guest boots by UEFI with variables in NVRAM.",
        f"{NOT_YET}: leave the guest where it is.",
    ),
    block("TPM_UNSUPPORTED", "The guest has a TPM.", f"{NOT_YET}: leave the guest where it is."),
    block(
        "HOST_DEVICE",
        "The guest uses a device of its hypervisor (PCI, USB, SCSI, vDPA, SR-IOV interface).",
        "Detach it with virsh detach-device --config and shut the guest down, " + AGAIN + ".",
    ),
    block(
        "MEDIATED_DEVICE",
        "The guest uses a mediated device of its hypervisor.",
        "Detach it with virsh detach-device --config and shut the guest down, " + AGAIN + ".",
    ),
    block(
        "FILESYSTEM_PASSTHROUGH",
        "A directory of the hypervisor is passed to the guest (virtiofs, 9p).",
        "Remove the <filesystem> with virsh edit and shut the guest down, " + AGAIN + ".",
    ),
)

DISKS = (
    block(
        "DISK_NOT_A_FILE",
        "A disk is not a regular file.",
        f"{NOT_YET}: only disks in plain files can be moved. Detach this one, or leave the guest where it is.",
    ),
    block("DISK_MISSING", "A disk's file is not there.", "Bring the file back, or detach or eject the disk."),
    block(
        "DISK_UNREADABLE",
        "An image cannot be read.",
        "Look at it with qemu-img info -f FORMAT PATH on that hypervisor, repair it, " + AGAIN + ".",
    ),
    block(
        "DISK_SHAREABLE",
        "A disk may be written by several guests.",
        "Remove <shareable/> if no other guest uses it, or detach the disk.",
    ),
    block(
        "DISK_STARTUP_POLICY",
        "The guest starts without the disk when its file is missing.",
        "Remove startupPolicy with virsh edit, " + AGAIN + ".",
    ),
    block(
        "DISK_USED_BY_OTHERS",
        "An image that would go with the guest is another guest's too, as a disk or as a backing file, or a loop "
        "device stands on it.",
        "Give each guest its own: detach it from one, or flatten the other's with virsh blockpull; unmount a loop "
        "device and detach it with losetup -d, " + AGAIN + ".",
    ),
    warn(
        "BACKING_CHAIN",
        "An image depends on backing files. The copy is flattened; they stay, and the destination needs none of them.",
        "Nothing has to be done. The copy takes as much as the image and what it uses of its backing files.",
    ),
    block(
        "BACKING_FORMAT_UNKNOWN",
        "An image does not record the format of its backing file, which is never guessed from what is in it.",
        "Record it: qemu-img rebase -u -F FORMAT -b BACKING IMAGE while the guest is off, " + AGAIN + ".",
    ),
    block(
        "BACKING_UNREADABLE",
        "A backing file cannot be read, or is no file of the hypervisor.",
        "Look at the chain with qemu-img info --backing-chain, repair it, " + AGAIN + ".",
    ),
    block(
        "BACKING_DEFINED",
        "The definition names backing files, which would not be there at the destination.",
        "Remove <backingStore> from the disk with virsh edit: the image itself names them, " + AGAIN + ".",
    ),
    block(
        "BACKING_SNAPSHOTS",
        "An image has both backing files and internal snapshots, which flattening would lose.",
        "Delete the snapshots: qemu-img snapshot -d NAME IMAGE while the guest is off, " + AGAIN + ".",
    ),
    block(
        "DATA_FILE",
        "A qcow2 image keeps its data in another file.",
        f"{NOT_YET}: convert it with qemu-img convert into one file, " + AGAIN + ".",
    ),
    block(
        "FORMAT_UNSUPPORTED",
        "The format of an image is not known or not one that is handled.",
        "Name the true format in the definition (<driver type=…>), or convert the image to qcow2 or raw.",
    ),
    block(
        "FORMAT_MISMATCH",
        "An image looks like another format than the definition says; the guest may have written that header.",
        "Find out which is true. Never let it be detected: a guest can write a header that names files of the host.",
    ),
    block(
        "QCOW2_V2_SNAPSHOTS",
        "A qcow2 version 2 image with internal snapshots cannot grow.",
        "Upgrade it with qemu-img amend -f qcow2 -o compat=1.1, or delete the snapshots, " + AGAIN + ".",
    ),
    block(
        "LAYOUT_NO_DIRECTORY",
        "The guest has no writable disk that is a file.",
        f"{NOT_YET}: put its disk into an image file.",
    ),
    block(
        "LAYOUT_ENTRY_UNSUPPORTED",
        "The guest's directory holds links, special files or sub-directories.",
        "Move them out of the guest's directory, " + AGAIN + ".",
    ),
    block(
        "LAYOUT_MEDIUM_ELSEWHERE",
        "A CD-ROM or other read-only medium does not come with the guest, and is not at the destination.",
        "Put it there at the same path, or eject it: virsh change-media NAME TARGET --eject --config --live, "
        + AGAIN
        + ".",
    ),
    block(
        "STORAGE_SHARED",
        "Both hypervisors see the guest's directory.",
        f"{NOT_YET}: choose a destination with storage of its own.",
    ),
    block(
        "STORAGE_UNKNOWN",
        "Whether both hypervisors see the guest's directory is not known.",
        "Look at the guest's directory on both, run again; it must be writable for the probe on the source.",
    ),
    block(
        "SOURCE_DISK_FULL",
        "The source has no room to flatten images with backing files before they are sent.",
        "Free space there, or start the guest: transfer=mirror needs no room.",
    ),
    block(
        "TRANSFER_IMPOSSIBLE",
        "The transfer that was asked for cannot be had.",
        "Leave transfer= out: the plan then takes the best that is possible, and names it.",
    ),
    warn(
        "RSYNC_NO_ZSTD",
        "The images are mostly holes, and rsync cannot compress them away.",
        "Install rsync 3.2 or later with zstd on both hypervisors, or expect the full length on the wire.",
    ),
)
