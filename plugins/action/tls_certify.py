# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.tls_certify)."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import trust
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _pki, _trust
from ansible_collections.kvmops.mobility.plugins.plugin_utils._pki import Authority
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction

_VALIDITY_DAYS, _RENEW_BEFORE_DAYS = 365, 60


class ActionModule(ControllerAction):
    """A certificate for the host of this task, signed here or judged here."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The certificate, a new one only where the host's own will not do."""
        _pki.check_library()
        here = str(variables["inventory_hostname"])
        names = list(dict.fromkeys([here, *trust.own_names(here, _trust.members(variables, arguments["hosts"]))]))
        if arguments.get("certificate"):
            return _own(arguments, names)
        passphrase = str(self._templar.template(variables.get("libvirt_host_ca_passphrase", "")) or "")
        authority = Authority(_path(arguments["ca"]), passphrase)
        with authority.alone():
            return _signed(authority, arguments, here, names, bool(self._task.check_mode))


def _signed(
    authority: Authority, arguments: Mapping[str, Any], here: str, names: Sequence[str], check: bool
) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.timezone.utc)
    if not authority.exists():
        if check:
            return _result("the certificate authority will be made", changed=True)
        authority.make(now)
    renew = int(arguments.get("renew_before_days", _RENEW_BEFORE_DAYS))
    held = str(arguments["found"].get("certificate", ""))
    judged = _pki.judge(held, authority.certificate(), names, now, renew)
    if not judged.why_not or check:
        changed = bool(judged.why_not)
        return _result(judged.why_not, authority.certificate(), held, judged=judged, changed=changed)
    days = int(arguments.get("validity_days", _VALIDITY_DAYS))
    pair = authority.sign(here, names, now, days)
    made = _pki.judge(pair.certificate, authority.certificate(), names, now, 0)
    return _result(judged.why_not, authority.certificate(), pair.certificate, pair.key, judged=made, changed=True)


def _own(arguments: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Certificates of somebody else's. Raises Refused(TLS_CERTIFICATE_UNFIT)."""
    path = _path(arguments["certificate"])
    certificate, authority = _text(path), _text(_path(arguments["ca"]))
    key = _text(_path(arguments.get("private_key") or ""))
    now = datetime.datetime.now(datetime.timezone.utc)
    judged = _pki.judge(certificate, authority, names, now, 0)
    why = judged.why_not or ("" if _pki.belongs(certificate, key) else "the private key is another's")
    if why:
        raise Refused(
            "TLS_CERTIFICATE_UNFIT", path, f"will not do: {why}.", "Give one that names all of this host's names."
        )
    return _result("", authority, certificate, key, judged=judged, changed=False)


def _path(given: object) -> str:
    return os.path.abspath(os.path.expanduser(str(given)))


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("TLS_CERTIFICATE_UNFIT", path, f"cannot be read: {error}.", "It is to be a PEM file.") from None


def _result(
    reason: str,
    authority: str = "",
    certificate: str = "",
    key: str = "",
    *,
    changed: bool,
    judged: _pki.Judged | None = None,
) -> dict[str, Any]:
    return {
        "changed": changed,
        "reason": reason,
        "authority": authority,
        "certificate": certificate,
        "key": key,
        "subject": judged.subject if judged else "",
        "days_left": judged.days_left if judged else 0,
    }
