# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a hypervisor whether a guest that lives elsewhere could live here. Changes nothing.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import FitFacts, SpaceFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import probe


@dataclass(frozen=True)
class Visitor:
    """A guest of another hypervisor: its definition, what of it would come, and the probes planted beside it."""

    xml: str
    directory: str
    probe: str
    """Empty when none could be planted."""
    places: tuple[str, ...] = ()
    """What would come under the same name; without any, the directory."""
    probes: Mapping[str, str] = field(default_factory=dict)
    """Where the guest's images are in several directories: the probe in each."""
    media: tuple[str, ...] = ()
    """Media that would not come, and have to be here."""

    @property
    def comes(self) -> tuple[str, ...]:
        """What would come: the images, or else the directory."""
        return self.places or ((self.directory,) if self.directory else ())

    @property
    def planted(self) -> Mapping[str, str]:
        """The probe in each directory that holds its images."""
        return self.probes or {self.directory: self.probe}


def survey(hypervisor: Hypervisor, visitor: Visitor) -> FitFacts:
    """What this hypervisor says about *visitor*."""
    definition = GuestDefinition.from_xml(visitor.xml)
    domain_types, emulators = _offered(hypervisor.capabilities(), definition.arch)
    error = _capabilities_error(hypervisor, definition)
    parents = tuple(dict.fromkeys(Path(one).parent for one in visitor.comes)) or (Path("/nonexistent"),)
    space = _space(parents[0])
    return FitFacts(
        uuid=definition.uuid,
        domain_type_ok=definition.domain_type in domain_types,
        emulator_ok=_can_run(definition.emulator) if definition.emulator else bool(emulators),
        machine_ok=not error,
        firmware_missing=tuple(one for one in definition.boot_files if not os.path.isfile(one)),
        cpu=_compare_cpu(hypervisor, definition, visitor.xml),
        vcpus_max=_vcpus_max(hypervisor, definition) if not error else 0,
        capabilities_error=error,
        existing_paths=_existing(visitor),
        total_bytes=space["total"],
        free_bytes=space["free"],
        free_inodes=space["inodes"],
        parent_exists=all(one.is_dir() for one in parents),
        storage_shared=probe.seen_any(visitor.planted).value,
        spaces=tuple(_space_of(one) for one in parents),
        media_missing=tuple(one for one in visitor.media if not os.path.isfile(one)),
        seen={directory: probe.seen(directory, token).value for directory, token in visitor.planted.items()},
    )


def _offered(capabilities: ET.Element, arch: str) -> tuple[frozenset[str], frozenset[str]]:
    """Domain types and emulators for *arch*; none when the hypervisor has no guest of that architecture."""
    element = capabilities.find(f"guest/arch[@name='{arch}']")
    if element is None:
        return frozenset(), frozenset()
    types = frozenset(one.get("type", "") for one in element.iterfind("domain"))
    emulators = frozenset(one.text or "" for one in element.iter("emulator"))
    return types, emulators


def _can_run(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _kind(definition: GuestDefinition) -> tuple[str, str, str, str]:
    return definition.emulator, definition.arch, definition.machine, definition.domain_type


def _capabilities_error(hypervisor: Hypervisor, definition: GuestDefinition) -> str:
    try:
        hypervisor.domain_capabilities(*_kind(definition))
    except MobilityError as error:
        return error.message
    return ""


def _vcpus_max(hypervisor: Hypervisor, definition: GuestDefinition) -> int:
    element = hypervisor.domain_capabilities(*_kind(definition)).find("vcpu")
    return int(element.get("max", "0")) if element is not None else 0


def _compare_cpu(hypervisor: Hypervisor, definition: GuestDefinition, xml: str) -> str:
    """A CPU that is whatever the host has (host-passthrough, maximum) fits; host-model is expanded there."""
    cpu = ET.fromstring(xml).find("cpu")
    if cpu is None or cpu.get("mode", "custom") != "custom" or cpu.find("model") is None:
        return "identical"
    return hypervisor.compare_cpu(*_kind(definition), ET.tostring(cpu, encoding="unicode"))


def _here(parent: Path) -> Path:
    """*parent*, or the nearest directory above it that is there."""
    return next((one for one in (parent, *parent.parents) if one.exists()), Path("/"))


def _space(parent: Path) -> Mapping[str, int]:
    """Size of the file system that would hold the guest, and what is free there for root."""
    found = os.statvfs(_here(parent))
    inodes = found.f_ffree if found.f_files else 0
    return {"total": found.f_blocks * found.f_frsize, "free": found.f_bfree * found.f_frsize, "inodes": inodes}


def _space_of(parent: Path) -> SpaceFacts:
    return SpaceFacts(str(parent), os.stat(_here(parent)).st_dev, _space(parent)["free"])


def _existing(visitor: Visitor) -> tuple[str, ...]:
    """Of the names a move uses, those that are taken here already."""
    of = _existing_file if visitor.places and visitor.places != (visitor.directory,) else _existing_directory
    return tuple(str(one) for place in visitor.comes for one in of(Path(place)) if os.path.lexists(one))


def _existing_directory(path: Path) -> tuple[Path, ...]:
    kinds = ("returning", "staging") if path.parent.is_dir() else ()
    grown = [one for kind in kinds for one in path.parent.glob(f"{path.name}.*.{kind}")]
    return (path, Path(f"{path}_resize"), Path(f"{path}_reverted"), *sorted(grown))


def _existing_file(path: Path) -> tuple[Path, ...]:
    """Other guests of the same directory may be on their way, in hidden directories beside: only this name counts."""
    kept = [one for kind in ("resize", "reverted", "staging", "returning") for one in path.parent.glob(f".*.{kind}")]
    return (path, *sorted(one / path.name for one in kept))
