# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What options that Nova took out, or is about to, mean today. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.nova_options import SECTIONS
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.oslo import OsloConf

_RENAMED = {
    ("DEFAULT", "novncproxy_base_url"): ("vnc", "novncproxy_base_url"),
    ("DEFAULT", "novncproxy_host"): ("vnc", "novncproxy_host"),
    ("DEFAULT", "novncproxy_port"): ("vnc", "novncproxy_port"),
    ("DEFAULT", "vnc_enabled"): ("vnc", "enabled"),
    ("DEFAULT", "vncserver_listen"): ("vnc", "server_listen"),
    ("DEFAULT", "vncserver_proxyclient_address"): ("vnc", "server_proxyclient_address"),
    ("vnc", "vncserver_listen"): ("vnc", "server_listen"),
    ("vnc", "vncserver_proxyclient_address"): ("vnc", "server_proxyclient_address"),
}
_FLAGS = {
    "VIR_MIGRATE_POSTCOPY": "live_migration_permit_post_copy",
    "VIR_MIGRATE_AUTO_CONVERGE": "live_migration_permit_auto_converge",
}
_URI = re.compile(r"qemu\+(ssh|tcp|tls)://%s/system")


@dataclass(frozen=True)
class Translation:
    """What becomes of one old option: it goes, and others may take its place. None of both: it has to stay."""

    place: tuple[str, str]
    says: str
    goes: bool = True
    instead: tuple[tuple[str, str, str], ...] = ()
    """Section, option and value, each."""


def translations(conf: OsloConf) -> Iterator[Translation]:
    """For each old option that is set. What takes its place does so only where that is not set itself."""
    for place, new in _RENAMED.items():
        value = conf.get(*place)
        if value:
            yield _moved(place, new, value[-1])
    for name, translate in (
        ("live_migration_uri", _uri),
        ("live_migration_flag", _flag),
        ("live_migration_tunnelled", _tunnelled),
        ("block_migration_flag", _block_flag),
        ("live_migration_progress_timeout", _progress_timeout),
    ):
        value = conf.get("libvirt", name)
        if value:
            yield translate(conf, ("libvirt", name), value[-1])


def _moved(place: tuple[str, str], new: tuple[str, str], value: str) -> Translation:
    section, name = new
    return Translation(place, f"is called [{section}]{name} now", instead=((section, name, value),))


def _uri(_conf: OsloConf, place: tuple[str, str], value: str) -> Translation:
    found = _URI.fullmatch(value)
    if found is None:
        says = (
            f"is going to be taken out of Nova, and {value} cannot be said with live_migration_scheme and "
            "live_migration_inbound_addr: left as it is"
        )
        return Translation(place, says, goes=False)
    says = "is going to be taken out of Nova; live_migration_scheme says the same"
    return Translation(place, says, instead=(("libvirt", "live_migration_scheme", found.group(1)),))


def _flag(_conf: OsloConf, place: tuple[str, str], value: str) -> Translation:
    flags = {one.strip() for one in value.split(",")}
    instead = tuple(("libvirt", name, "True") for flag, name in _FLAGS.items() if flag in flags)
    says = "was taken out of Nova, which chooses the flags itself"
    if instead:
        says += f"; what of it is a choice still, is {' and '.join(one[1] for one in instead)}"
    if "VIR_MIGRATE_TUNNELLED" in flags:
        says += "; VIR_MIGRATE_TUNNELLED in it did nothing any more: to encrypt, use live_migration_with_native_tls"
    return Translation(place, says, instead=instead)


def _tunnelled(conf: OsloConf, place: tuple[str, str], value: str) -> Translation:
    boolean = SECTIONS["libvirt"]["live_migration_tunnelled"]
    tls = conf.get("libvirt", "live_migration_with_native_tls")
    if boolean.read(value) is False:
        return Translation(place, "is going to be taken out of Nova, and was off")
    if tls and boolean.read(tls[-1]) is True:
        return Translation(place, "excludes live_migration_with_native_tls, which is on and encrypts as well")
    # Without it the guest's memory would go over the network in the clear, where it did not before.
    says = "is going to be taken out of Nova; left as it is, since only live_migration_with_native_tls encrypts as well"
    return Translation(place, says, goes=False)


def _block_flag(_conf: OsloConf, place: tuple[str, str], _value: str) -> Translation:
    return Translation(place, "was taken out of Nova, which chooses the flags itself")


def _progress_timeout(_conf: OsloConf, place: tuple[str, str], _value: str) -> Translation:
    return Translation(place, "was taken out of Nova; live_migration_completion_timeout bounds the whole migration")
