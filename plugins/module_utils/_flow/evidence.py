# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step evidence: what proves, from inside the guest, that it lives at its new size. It can fail.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan

_AGENT_S = 5
_READ_BYTES = 65536
_SECTOR = 512
_MEMORY_OVERHEAD = 0.75
"""The kernel, firmware and a crash kernel take their part before MemTotal is counted."""


@dataclass(frozen=True)
class Inside:
    """What the guest's agent says of the guest; None where it would not tell."""

    vcpus: int
    memory_mib: int | None
    root_bytes: int | None


def plan(context: Context) -> Plan:
    """No effects: the evidence is the result.

    Raises Refused when there is none, MobilityError when it speaks against the guest.
    """
    migration = context.record().migration
    domain = context.hypervisor.domain(migration.uuid)
    state = domain.state()
    if state == "shut off":
        return Plan(result={"evidence": _of_off_guest(domain, migration)})
    if state != "running":
        raise Refused(
            "GUEST_NOT_RUNNING",
            migration.name,
            f"is {state}; only a guest that runs, or is shut off, is confirmed.",
            "Bring it up, or revert.",
        )
    return Plan(result={"evidence": _of_running_guest(context, domain, migration)})


def _of_off_guest(domain: Domain, migration: Migration) -> Mapping[str, Any]:
    """A guest that is off cannot speak: its images are checked and its definition is read."""
    definition = GuestDefinition.from_xml(domain.xml(inactive=True))
    _compare(migration, "defined", definition.vcpus, definition.memory_mib, None)
    checks = {}
    for disk in migration.disks:
        found = image.inspect(disk.path, disk.format)
        if found.virtual_bytes < disk.new_bytes:
            raise _mismatch(migration, f"{disk.target} has {found.virtual_bytes} bytes, not {disk.new_bytes}")
        checks[disk.target] = image.check(disk.path, disk.format)
    return {"kind": "off", "images": checks}


def _of_running_guest(context: Context, domain: Domain, migration: Migration) -> Mapping[str, Any]:
    inside, why = _ask_agent(domain, migration)
    if inside is not None:
        _compare(migration, "inside", inside.vcpus, inside.memory_mib, inside.root_bytes)
        return {"kind": "agent", **asdict(inside)}
    probe = context.params["probe"]
    if probe:
        _connect(migration, probe, context.params["probe_timeout_s"])
        return {"kind": "probe", "probe": probe, "agent": why}
    if context.params["force"]:
        context.warn(f"{migration.name}: confirmed without a sign of life from inside, because force=true ({why})")
        return {"kind": "forced", "agent": why}
    raise Refused(
        "CONFIRM_NEEDS_EVIDENCE",
        migration.name,
        f"runs, but nothing from inside says that it works: {why}",
        "Start the QEMU guest agent in it, or give a TCP port that answers when it works (probe=ADDRESS:PORT), "
        "or confirm without evidence (force=true).",
    )


def _ask_agent(domain: Domain, migration: Migration) -> tuple[Inside | None, str]:
    """What the agent says, and why it says nothing."""
    try:
        domain.agent("guest-ping", _AGENT_S)
        vcpus = domain.online_vcpus()
    except MobilityError as error:
        return None, error.message
    memory = _read_number(domain, "/proc/meminfo", r"^MemTotal:\s+(\d+) kB")
    sectors = _read_number(domain, f"/sys/block/{migration.root_disk}/size", r"^(\d+)$")
    return Inside(vcpus, memory // 1024 if memory else None, sectors * _SECTOR if sectors else None), ""


def _read_number(domain: Domain, path: str, pattern: str) -> int | None:
    """A number from a file of the guest; None where it has no such file, or its agent may not open files (often so)."""
    try:
        handle = domain.agent("guest-file-open", _AGENT_S, path=path, mode="r")
        answer = domain.agent("guest-file-read", _AGENT_S, handle=handle, count=_READ_BYTES)
        domain.agent("guest-file-close", _AGENT_S, handle=handle)
    except MobilityError:
        return None
    found = re.search(pattern, base64.b64decode(answer["buf-b64"]).decode(errors="replace"), re.MULTILINE)
    return int(found.group(1)) if found else None


def _compare(migration: Migration, where: str, vcpus: int, memory_mib: int | None, root_bytes: int | None) -> None:
    new = migration.new
    if vcpus != new.vcpus:
        raise _mismatch(migration, f"{vcpus} vCPUs {where}, not {new.vcpus}")
    if memory_mib is not None and not new.memory_mib * _MEMORY_OVERHEAD <= memory_mib <= new.memory_mib:
        raise _mismatch(migration, f"{memory_mib} MiB of memory {where}, not about {new.memory_mib}")
    if root_bytes is not None and root_bytes < new.root_bytes:
        raise _mismatch(migration, f"{root_bytes} bytes on {migration.root_disk} {where}, not {new.root_bytes}")


def _mismatch(migration: Migration, what: str) -> MobilityError:
    return MobilityError(
        "GUEST_SIZE_MISMATCH",
        migration.name,
        f"does not have its new size: {what}.",
        "Look into the guest, then confirm again, or revert: the source still has everything.",
    )


def _connect(migration: Migration, probe: str, timeout_s: int) -> None:
    """Raises Refused(PROBE_FAILED) when nothing accepts a connection at ADDRESS:PORT."""
    address, _colon, port = probe.rpartition(":")
    if not address or not port.isdigit():
        raise Refused("VALUE_INVALID", "probe", f"'{probe}' is not ADDRESS:PORT.", "Give for example 192.0.2.10:22.")
    try:
        socket.create_connection((address.strip("[]"), int(port)), timeout=timeout_s).close()
    except OSError as error:
        raise Refused(
            "PROBE_FAILED",
            migration.name,
            f"{probe} does not accept a connection: {error}.",
            "Look into the guest, then confirm again, or revert: the source still has everything.",
        ) from None
