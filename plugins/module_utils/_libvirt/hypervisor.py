# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One hypervisor: the only caller of virConnect.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, Callable, TypeVar

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, NotFound
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.connection import errors_kept, translated
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.job import Job
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt

_T = TypeVar("_T")


class Hypervisor:
    """An open connection with our errors."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.hostname: str = self._do("read the host name", connection.getHostname)

    def _do(self, attempted: str, call: Callable[[], _T]) -> _T:
        return translated(getattr(self, "hostname", "hypervisor"), attempted, call)

    def versions(self) -> tuple[int, int]:
        """libvirt's and QEMU's version as libvirt counts them (major * 1000000 + minor * 1000 + release)."""
        return (
            int(self._do("read libvirt's version", self._connection.getLibVersion)),
            int(self._do("read the emulator's version", self._connection.getVersion)),
        )

    def capabilities(self) -> ET.Element:
        """The host's C(<capabilities>)."""
        return ET.fromstring(self._do("read its capabilities", self._connection.getCapabilities))

    def domains(self) -> tuple[Domain, ...]:
        """Every domain, running or not."""
        return tuple(Domain(one) for one in self._do("list its domains", lambda: self._connection.listAllDomains(0)))

    def find(self, uuid: str) -> Domain | None:
        """The domain with that UUID, None when it is not here. One that is *named* so is another guest."""
        handle = self._lookup(self._connection.lookupByUUIDString, uuid)
        return Domain(handle) if handle is not None else None

    def look_up(self, name_or_uuid: str) -> Domain | None:
        """The domain that an operator calls so, by its name or UUID; None when it is not here."""
        for call in (self._connection.lookupByUUIDString, self._connection.lookupByName):
            handle = self._lookup(call, name_or_uuid)
            if handle is not None:
                return Domain(handle)
        return None

    def domain(self, uuid: str) -> Domain:
        """Like C(find()). Raises NotFound(DOMAIN_NOT_FOUND)."""
        return self._required(uuid, self.find(uuid))

    def named(self, name_or_uuid: str) -> Domain:
        """Like C(look_up()). Raises NotFound(DOMAIN_NOT_FOUND)."""
        return self._required(name_or_uuid, self.look_up(name_or_uuid))

    def _required(self, key: str, found: Domain | None) -> Domain:
        if found is None:
            raise NotFound(
                "DOMAIN_NOT_FOUND",
                key,
                f"no such domain on {self.hostname}.",
                "kvmops.mobility.status shows where it is.",
            )
        return found

    def job(self, uuid: str) -> Job | None:
        """The migration of the domain with that UUID, whether there is one or not; None when the domain is not here."""
        handle = self._lookup(self._connection.lookupByUUIDString, uuid)
        return Job(handle) if handle is not None else None

    def _lookup(self, call: Callable[[str], Any], key: str) -> Any:
        def look() -> Any:
            try:
                return call(key)
            except libvirt.libvirtError as error:
                if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG):
                    return None
                raise

        return translated(key, "look it up", look)

    def define(self, xml: str) -> Domain:
        """Store a definition, validated against libvirt's schema. Starts nothing."""
        flags = libvirt.VIR_DOMAIN_DEFINE_VALIDATE
        return Domain(self._do("define the domain", lambda: self._connection.defineXMLFlags(xml, flags)))

    def active_networks(self) -> tuple[str, ...]:
        """Names of the active libvirt networks; none where the driver has no networks."""

        def ask() -> list[Any]:
            try:
                return list(self._connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE))
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                    return []
                raise

        return tuple(sorted(one.name() for one in self._do("list its networks", ask)))

    def storage_pools(self) -> tuple[str, ...]:
        """Target paths of the storage pools, active or not; none where nothing answers for storage."""
        none = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_SYSTEM_ERROR)

        def ask() -> list[str]:
            try:
                with errors_kept():
                    return [str(one.XMLDesc(0)) for one in self._connection.listAllStoragePools(0)]
            except libvirt.libvirtError as error:
                if error.get_error_code() in none:
                    return []
                raise

        found = (ET.fromstring(one).findtext("target/path") for one in self._do("list its storage pools", ask))
        return tuple(one for one in found if one)

    def domain_capabilities(self, emulator: str, arch: str, machine: str, domain_type: str) -> ET.Element:
        """What a domain of that kind can have here.

        Raises MobilityError(LIBVIRT_FAILED) with libvirt's words when it cannot be started here at all.
        """

        def ask() -> str:
            return str(self._connection.getDomainCapabilities(emulator or None, arch, machine or None, domain_type, 0))

        return ET.fromstring(self._do(f"offer {domain_type} on {arch} machine {machine}", ask))

    def compare_cpu(self, emulator: str, arch: str, machine: str, domain_type: str, cpu_xml: str) -> str:
        """identical, superset, incompatible, or unsupported when this hypervisor cannot tell.

        C(compareHypervisorCPU()) asks QEMU there, unlike C(compareCPU()), whose answers made Nova refuse good moves.
        """
        names = {
            libvirt.VIR_CPU_COMPARE_INCOMPATIBLE: "incompatible",
            libvirt.VIR_CPU_COMPARE_IDENTICAL: "identical",
            libvirt.VIR_CPU_COMPARE_SUPERSET: "superset",
        }
        try:
            with errors_kept():
                answer = self._connection.compareHypervisorCPU(
                    emulator or None, arch, machine or None, domain_type, cpu_xml, 0
                )
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_CPU_INCOMPATIBLE:
                return "incompatible"
            return "unsupported"
        return names.get(answer, "unsupported")


def refusal_of(call: Callable[[], object]) -> str:
    """The words of the error *call* ends with, empty when it ends well."""
    try:
        call()
    except MobilityError as error:
        return str(error)
    return ""
