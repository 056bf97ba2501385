# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of what stands against moving a guest while it runs.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.code import AGAIN, block, warn

LIVE = (
    block(
        "LIVE_OPTIONS_CONFLICT",
        "Options of a live migration cannot be had together, or not with the storage that the guest is on.",
        "Leave one of them out.",
    ),
    block(
        "LIVE_TOO_OLD",
        "libvirt or QEMU on one side is older than what was asked for.",
        "Leave the option out, or update that hypervisor.",
    ),
    warn(
        "LIVE_OPTION_LEFT_OUT",
        "An option was asked for and is not used: because of another one, of the guest's state, or of the forecast.",
        "Nothing has to be done; leave the option out to be rid of the warning.",
    ),
    block(
        "WILL_NOT_CONVERGE",
        "By what was measured the guest writes its memory faster than its policy lets it be sent. A warning with "
        "live.forecast=warn.",
        "Choose another policy that would end it, wait until it writes less, or move it with a stop: "
        "kvmops.mobility.migrate.",
    ),
    block(
        "LIVE_QEMU_OLDER",
        "QEMU on the destination is older than on the source, and need not understand what that one sends.",
        "Choose a destination with a QEMU at least as new, or stop the guest for it: kvmops.mobility.migrate.",
    ),
    warn(
        "LIVE_NO_WAY_BACK",
        "QEMU on the destination is newer: the guest may not come back live.",
        "Nothing has to be done; kvmops.mobility.migrate brings it back with a stop.",
    ),
    warn(
        "CPU_PASSTHROUGH",
        "The guest sees the processor of its hypervisor as it is, and goes on with it on the other one.",
        "Make sure that both have the same processor and microcode, or give the guest a named CPU model.",
    ),
    warn(
        "LIVE_PORTS_CLOSED",
        "The source does not get through to the ports that QEMU on the destination listens on for a migration.",
        "Let it through to 49152 to 49215 there, or to those that its qemu.conf names (migration_port_min).",
    ),
    block(
        "LIVE_INTERNAL_SNAPSHOTS",
        "An image that would be copied has internal snapshots, which are not copied with it.",
        "Delete them with qemu-img snapshot -d NAME IMAGE while the guest is off, " + AGAIN + ".",
    ),
    block(
        "LIVE_CACHE_UNSAFE",
        "A disk on storage that both see is cached by the hypervisor, and libvirt does not migrate that.",
        "Set cache='none' for the disk with virsh edit and restart the guest, " + AGAIN + ".",
    ),
    warn(
        "LIVE_DISKS_GROW",
        "What is allocated of the disks fits on the destination, all that they may hold does not.",
        "Free space there, or watch it: a guest whose disk cannot grow is paused.",
    ),
    warn(
        "LIVE_TLS_FRAGILE",
        "Before 9.0, QEMU could crash while it copied disks through TLS.",
        "Update QEMU, or leave tls=true out for guests whose disks are copied.",
    ),
    warn(
        "LIVE_LISTEN",
        "Graphics or serial lines listen on an address that the destination may not have.",
        "Let them listen on 127.0.0.1 or on all addresses, or see that the destination has the address.",
    ),
    warn(
        "CLOCKS_DIFFER",
        "The clocks of both hypervisors are apart, and the guest's may jump.",
        "Let both follow the same time server.",
    ),
)
