# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.tls_certificates) and M(kvmops.mobility.tls_certificates_info) do.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import grp
import os
import ssl
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import write_durably
from ansible_collections.kvmops.mobility.plugins.module_utils._file.own import text_of
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._tls.places import (
    DIRECTORIES,
    FIRST_CERTIFICATE,
    FIRST_KEY,
    PLACES,
    QEMU_DIRECTORY,
    Part,
    Place,
)

_EVERYBODY = 0o055
_KEY_SHOWN = "(a private key)\n"


def info(_context: Context) -> Plan:
    """What is there; a certificate whose key is not there, or is another's, counts for nothing."""
    mistake = _mistake()
    return Plan(
        result={
            "certificate": "" if mistake else _held(FIRST_CERTIFICATE),
            "authority": next(_held(one.path) for one in PLACES if one.part is Part.AUTHORITY),
            "mistake": mistake,
        }
    )


def _mistake() -> str:
    """A pair that is not there is none only where it is the first: the others are copied from that."""
    for certificate, key in _pairs():
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        except FileNotFoundError:
            if certificate == FIRST_CERTIFICATE:
                return "there is none"
        except (OSError, ssl.SSLError) as error:
            return f"{certificate} and {key} are no pair: {error}"
    return ""


def _pairs() -> Iterator[tuple[str, str]]:
    """Each certificate, and its key, which stands before it."""
    for key, certificate in zip(PLACES, PLACES[1:]):
        if key.part is Part.KEY:
            yield certificate.path, key.path


def work(context: Context) -> Plan:
    """At most one effect: install. Raises NotFound(GROUP_MISSING), Refused(TLS_KEY_MISSING)."""
    params = context.params
    group = _group(params["groups"], context)
    key = params["key"] or _held(FIRST_KEY)
    if not key and not context.check:
        raise Refused(
            "TLS_KEY_MISSING", FIRST_KEY, "is not there, and no key was given.", "Give the certificate with its key."
        )
    wanted = {Part.AUTHORITY: params["authority"], Part.CERTIFICATE: params["certificate"], Part.KEY: key}
    differ = [one for one in PLACES if not _fits(one, wanted[one.part], group)]
    loose = [path for path, mode in DIRECTORIES.items() if not _kept(path, mode, group)]
    if not differ and not loose:
        return Plan()
    effect = Effect(
        "install",
        f"write {', '.join([*loose, *(one.path for one in differ)])}",
        partial(_install, differ, wanted, group),
    )
    return Plan((effect,), before=_shown(differ, None), after=_shown(differ, wanted))


def _group(names: Sequence[str], context: Context) -> int:
    """The first of *names* that this host has."""
    for name in names:
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            continue
    if context.check:
        return -1
    raise NotFound(
        "GROUP_MISSING",
        ", ".join(names),
        "is no group of this host, so QEMU could not read its key.",
        "Install QEMU first, or name the group that it runs as (group in qemu.conf).",
    )


def _held(path: str) -> str:
    return text_of(Path(path))


def _fits(place: Place, text: str, group: int) -> bool:
    try:
        status = os.stat(place.path)
    except FileNotFoundError:
        return False
    owner = (0, group) if place.grouped else (0, status.st_gid)
    return (
        (status.st_uid, status.st_gid) == owner
        and stat.S_IMODE(status.st_mode) == place.mode
        and _held(place.path) == text
    )


def _kept(path: str, mode: int, group: int) -> bool:
    """A directory is there, lets in who needs it, and no others write to it; a private one may be readable."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    has = stat.S_IMODE(status.st_mode)
    if has & ~(mode | _EVERYBODY):
        return False
    if path == QEMU_DIRECTORY:
        return has & _EVERYBODY == _EVERYBODY or (status.st_gid == group and has & mode == mode)
    return has & mode == mode


def _install(places: Sequence[Place], wanted: Mapping[Part, str], group: int) -> None:
    for path, mode in DIRECTORIES.items():
        _make(path, mode, group)
    for place in places:
        write_durably(Path(place.path), wanted[place.part].encode(), 0o600)
        os.chown(place.path, 0, group if place.grouped else 0)
        os.chmod(place.path, place.mode)


def _make(path: str, mode: int, group: int) -> None:
    os.makedirs(path, exist_ok=True)
    if not _kept(path, mode, group):
        os.chown(path, 0, group if path == QEMU_DIRECTORY else 0)
        os.chmod(path, mode)


def _shown(places: Sequence[Place], wanted: Mapping[Part, str] | None) -> str:
    return "".join(f"{one.path}\n{line}" for one in places for line in _lines(one, wanted))


def _lines(place: Place, wanted: Mapping[Part, str] | None) -> Iterator[str]:
    text = _held(place.path) if wanted is None else wanted[place.part]
    if text:
        yield _KEY_SHOWN if place.part is Part.KEY else text
