# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.tls_certify)."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import trust
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _options, _pki, _trust
from ansible_collections.kvmops.mobility.plugins.plugin_utils._pki import Authority
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import StepAction

_VALIDITY_DAYS, _RENEW_BEFORE_DAYS = 365, 60
_READ, _INSTALL = "kvmops.mobility.tls_certificates_info", "kvmops.mobility.tls_certificates"


class ActionModule(StepAction):
    """Reads what the host has, signs here where that will not do, and installs it there.

    All in one task: so no variable ever holds a private key.
    """

    DEADLINE_S = 120
    LABEL = "giving it a certificate"

    def carry_out(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """Its result has no private key."""
        frame = {"deadline_s": arguments["deadline_s"]}
        held = self._execute_module(module_name=_READ, module_args=frame, task_vars=variables)
        if held.get("failed") or held.get("unreachable"):
            return dict(held)
        try:
            issued = self._issued(arguments, variables, str(held["certificate"]))
        except MobilityError as error:
            return {"failed": True, **error.as_result()}
        told = {"reason": issued.reason, "subject": issued.subject, "days_left": issued.days_left}
        if not issued.certificate:
            return {"changed": True, **told}
        groups = {"groups": arguments["groups"]} if "groups" in arguments else {}
        pem = {"authority": issued.authority, "certificate": issued.certificate, "key": issued.key}
        done = self._execute_module(module_name=_INSTALL, module_args={**frame, **pem, **groups}, task_vars=variables)
        done.pop("invocation", None)
        return {**done, **told, "changed": bool(done.get("changed")) or bool(issued.reason)}

    def _issued(self, arguments: Mapping[str, Any], variables: Mapping[str, Any], held: str) -> Issued:
        _pki.check_library()
        here = str(variables["inventory_hostname"])
        names = list(dict.fromkeys([here, *trust.own_names(here, _trust.members(variables, arguments["hosts"]))]))
        if arguments.get("certificate"):
            return judged_own(arguments, names)
        passphrase = str(self._templar.template(variables.get("libvirt_host_ca_passphrase", "")) or "")
        authority = Authority(_path(arguments["ca"]), passphrase)
        with authority.alone():
            return issued(authority, arguments, here, names, held, check=bool(self._task.check_mode))


@dataclass(frozen=True)
class Issued:
    """What the host is to have, as PEM."""

    reason: str
    """Why it is another than the one it has; empty when it is that."""
    authority: str
    certificate: str
    """Empty when a dry run would have to make the first one."""
    key: str
    """Empty for the one that the host has."""
    subject: str
    days_left: int


def issued(
    authority: Authority, arguments: Mapping[str, Any], here: str, names: Sequence[str], held: str, *, check: bool
) -> Issued:
    """The certificate that the host has, when it will do, or a new one; a dry run makes none.

    Raises Refused(TLS_CA_UNUSABLE).
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    days = _options.whole(arguments, "validity_days", _VALIDITY_DAYS)
    if not authority.exists():
        if check:
            return Issued("the certificate authority will be made", "", "", "", f"CN={here}", days)
        authority.make(now)
    renew = _options.whole(arguments, "renew_before_days", _RENEW_BEFORE_DAYS)
    judged = _pki.judge(held, authority.certificate(), names, now, renew)
    if judged.why_not and not check:
        pair = authority.sign(here, names, now, days)
        made = _pki.judge(pair.certificate, authority.certificate(), names, now, 0)
        return Issued(judged.why_not, authority.certificate(), pair.certificate, pair.key, made.subject, made.days_left)
    will_do = not judged.why_not
    return Issued(
        judged.why_not,
        authority.certificate(),
        held if will_do else "",
        "",
        judged.subject if will_do else f"CN={here}",
        judged.days_left if will_do else days,
    )


def judged_own(arguments: Mapping[str, Any], names: Sequence[str]) -> Issued:
    """Certificates of somebody else's. Raises Refused(TLS_CERTIFICATE_UNFIT)."""
    path = _path(arguments["certificate"])
    certificate, authority = _text(path), _text(_path(arguments["ca"]))
    key = _text(_path(arguments.get("private_key") or ""))
    now = datetime.datetime.now(datetime.timezone.utc)
    judged = _pki.judge(certificate, authority, names, now, 0)
    why = judged.why_not or ("" if _pki.belongs(certificate, key) else "the private key is another's")
    if why:
        remedy = "Give one that names all of this host's names, with its own key."
        raise Refused("TLS_CERTIFICATE_UNFIT", path, f"will not do: {why}.", remedy)
    return Issued("", authority, certificate, key, judged.subject, judged.days_left)


def _path(given: object) -> str:
    return os.path.abspath(os.path.expanduser(str(given)))


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("TLS_CERTIFICATE_UNFIT", path, f"cannot be read: {error}.", "It is to be a PEM file.") from None
