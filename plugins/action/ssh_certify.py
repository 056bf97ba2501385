# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.ssh_certify)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import trust
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.certificate import HOST, USER, Wanted, why_renew
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import PublicKey, parse_public
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _options, _site, _trust
from ansible_collections.kvmops.mobility.plugins.plugin_utils._ca import Authority, current
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction

MIGRATION, ROOT = "kvmops.mobility", "kvmops.mobility-root"
"""The principals that authorized_keys ask for: a certificate of the one does not open the other."""
_DAY_S = 86400


@dataclass
class _Signer:
    """Signs what has to be signed, and notes why."""

    authority: Authority
    public: PublicKey
    host: str
    days: int
    renew_before_days: int
    check: bool
    revoked: frozenset[int]
    reasons: list[str]

    def line(self, wanted: Wanted, now: str) -> str:
        """The certificate that will do: the current one, or a new one."""
        known = current(now)
        why = why_renew(known, wanted, self.public, time.time(), self.renew_before_days * _DAY_S)
        if known is not None and known.serial in self.revoked:
            why = "it was revoked"
        if not why:
            return now
        self.reasons.append(f"{wanted.identity}: {why}")
        return now if self.check else self.authority.sign(wanted, self.host, self.days)


class ActionModule(ControllerAction):
    """Certificates for the host of this task, signed here."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The certificates, new ones only where the host's own will not do."""
        authority = Authority(
            path=os.path.abspath(os.path.expanduser(str(arguments["key"]))),
            # Not an option of the task: what a task is given can be shown.
            passphrase=str(self._templar.template(variables.get("ssh_trust_ca_passphrase", "")) or ""),
            agent=_options.flag(arguments, "agent"),
        )
        check = bool(self._task.check_mode)
        with authority.alone():
            if not authority.exists():
                if check:
                    return _nothing("the certificate authority will be made")
                authority.make()
            return self._certified(authority, arguments, variables, check)

    def _certified(
        self, authority: Authority, arguments: Mapping[str, Any], variables: Mapping[str, Any], check: bool
    ) -> dict[str, Any]:
        here = str(variables["inventory_hostname"])
        public = authority.public()
        days = _options.whole(arguments, "validity_days", 90)
        renew = _options.whole(arguments, "renew_before_days", 30)
        distrusted = [str(name) for name in arguments.get("revoked") or ()]
        if not check:
            authority.revoke(distrusted)
        # A host that is distrusted keeps what it has: a new certificate would be good.
        revoked = frozenset() if here in distrusted else frozenset(authority.revoked())
        signer = _Signer(authority, public, here, days, renew, check, revoked, [])
        member = _trust.member(variables, here)
        names = tuple(trust.own_names(here, _trust.members(variables, arguments["hosts"])))
        truth = _site.result_of(variables, here, "ssh_trust_truth") or {}
        hosts = {
            one["file"]: signer.line(
                Wanted(HOST, parse_public(one["line"]), f"{here} host", names), str(one.get("certificate", ""))
            )
            for one in truth.get("host_keys", ())
        }
        users = {
            principal: _user(signer, variables, registered, principal, tuple(trust.sources(member)))
            for principal, registered in ((MIGRATION, "ssh_trust_identity"), (ROOT, "ssh_trust_root_identity"))
        }
        return {
            "changed": bool(signer.reasons),
            "reasons": signer.reasons,
            "authority": public.line,
            "host_certificates": hosts,
            "user_certificate": users[MIGRATION],
            "root_certificate": users[ROOT],
            "revocations": authority.revocations(),
        }


def _user(
    signer: _Signer, variables: Mapping[str, Any], registered: str, principal: str, sources: tuple[str, ...]
) -> str:
    found = _site.result_of(variables, signer.host, registered)
    if not found or not found.get("public_key"):
        return ""
    wanted = Wanted(USER, parse_public(found["public_key"]), f"{signer.host} {principal}", (principal,), sources)
    return signer.line(wanted, str(found.get("certificate", "")))


def _nothing(why: str) -> dict[str, Any]:
    return {
        "changed": True,
        "reasons": [why],
        "authority": "",
        "host_certificates": {},
        "user_certificate": "",
        "root_certificate": "",
        "revocations": "",
    }
