# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of the role ssh_trust. Its private key is on the controller, and never leaves it.

Beside the key: C(KEY.pub), C(KEY.issued) (what was signed, a line of JSON each), C(KEY.revoked) (serials),
and C(KEY.lock). A passphrase reaches ssh-keygen through SSH_ASKPASS and its environment, never by a command line or a
file.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.certificate import HOST, Certificate, Wanted, parse
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import PublicKey, parse_public
from ansible_collections.kvmops.mobility.plugins.plugin_utils._signer import Signer

_TIMEOUT_S = 30
_KRL_TIME = 20
"""Where the time is in a list: after the magic, the format's version and the list's number (PROTOCOL.krl)."""
_KRL_TIME_BYTES = 8
_BACKDATED = "-5m"
"""Clocks differ a little."""
_ASKPASS = '#!/bin/sh\nprintf "%s\\n" "$KVMOPS_CA_PASSPHRASE"\n'


@dataclass(frozen=True)
class Authority(Signer):
    """Signs certificates of SSH."""

    agent: bool = False
    """The private key is in ssh-agent; only the public half need be in a file."""

    def exists(self) -> bool:
        """Whether it was made."""
        return os.path.exists(f"{self.path}.pub") if self.agent else super().exists()

    def public(self) -> PublicKey:
        """Its public key. Raises Refused(CA_UNUSABLE)."""
        try:
            with open(f"{self.path}.pub", encoding="utf-8") as handle:
                return parse_public(handle.read())
        except OSError as error:
            raise self._unusable(f"its public half cannot be read: {error.strerror}.") from None

    def make(self) -> None:
        """Make it, readable by this user alone. Raises Refused(CA_UNUSABLE)."""
        if self.agent:
            raise self._unusable("ssh-agent is to sign, and the public half is not there.")
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        words = ["-q", "-t", "ed25519", "-C", "kvmops.mobility certificate authority", "-f", self.path]
        self._keygen([*words, *([] if self.passphrase else ["-N", ""])])

    def issued(self) -> list[dict[str, Any]]:
        """What was signed, in order."""
        try:
            with open(f"{self.path}.issued", encoding="utf-8") as handle:
                return [json.loads(line) for line in handle if line.strip()]
        except FileNotFoundError:
            return []

    def sign(self, wanted: Wanted, host: str, days: int) -> str:
        """The line of a new certificate, for *days*; call it C(alone()). Raises Refused(CA_UNUSABLE)."""
        serial = max([int(one["serial"]) for one in self.issued()], default=0) + 1
        # Noted before it is made: a serial that was used and not noted could never be revoked.
        self._note({"serial": serial, "host": host, "identity": wanted.identity, "key": wanted.key.line})
        with tempfile.TemporaryDirectory(prefix="kvmops-sign-") as scratch:
            path = os.path.join(scratch, "key.pub")
            with open(path, "w", encoding="ascii") as handle:
                handle.write(f"{wanted.key.line}\n")
            self._keygen([*self._signing(wanted, serial, days), path])
            with open(os.path.join(scratch, "key-cert.pub"), encoding="utf-8") as handle:
                return " ".join(handle.read().split()[:2])

    def _signing(self, wanted: Wanted, serial: int, days: int) -> list[str]:
        words = ["-q", *(["-U"] if self.agent else []), "-s", f"{self.path}.pub" if self.agent else self.path]
        words += ["-I", wanted.identity, "-n", ",".join(wanted.principals), "-z", str(serial)]
        words += ["-V", f"{_BACKDATED}:+{days}d"]
        if wanted.kind == HOST:
            return [*words, "-h"]
        words += ["-O", "clear", "-O", "permit-port-forwarding"]
        return [*words, "-O", f"source-address={','.join(wanted.sources)}"] if wanted.sources else words

    def revoked(self) -> list[int]:
        """The serials that were ever revoked; they stay so, whoever is trusted again."""
        try:
            with open(f"{self.path}.revoked", encoding="ascii") as handle:
                return [int(line) for line in handle if line.strip()]
        except FileNotFoundError:
            return []

    def revoke(self, hosts: Sequence[str]) -> None:
        """Revoke every certificate that these hosts were given until now; call it C(alone())."""
        known = set(self.revoked())
        more = [one["serial"] for one in self.issued() if one["host"] in hosts and one["serial"] not in known]
        if more:
            _append(f"{self.path}.revoked", "".join(f"{serial}\n" for serial in more))

    def revocations(self) -> str:
        """The list (KRL, base64) of what was revoked; empty when nothing was."""
        serials = self.revoked()
        if not serials:
            return ""
        with tempfile.TemporaryDirectory(prefix="kvmops-krl-") as scratch:
            krl, spec = os.path.join(scratch, "krl"), os.path.join(scratch, "spec")
            with open(spec, "w", encoding="ascii") as handle:
                handle.writelines(f"serial: {serial}\n" for serial in serials)
            self._keygen(["-q", "-k", "-z", str(len(serials)), "-s", f"{self.path}.pub", "-f", krl, spec])
            with open(krl, "rb") as handle:
                return base64.b64encode(_timeless(handle.read())).decode("ascii")

    def _note(self, what: Mapping[str, Any]) -> None:
        _append(f"{self.path}.issued", json.dumps(what) + "\n")

    def _keygen(self, words: Sequence[str]) -> Completed:
        with tempfile.TemporaryDirectory(prefix="kvmops-ask-") as scratch:
            helper = os.path.join(scratch, "ask")
            with open(helper, "w", encoding="ascii") as handle:
                handle.write(_ASKPASS)
            os.chmod(helper, 0o700)
            more = dict(SSH_ASKPASS=helper, SSH_ASKPASS_REQUIRE="force", KVMOPS_CA_PASSPHRASE=self.passphrase)
            try:
                return run(["ssh-keygen", *words], timeout_s=_TIMEOUT_S, environment=more)
            except CommandFailed as error:
                raise self._unusable(" ".join(error.message.split())) from None

    def _unusable(self, why: str) -> Refused:
        return Refused(
            "CA_UNUSABLE",
            self.path,
            f"the certificate authority cannot sign: {why}",
            "See ssh_trust_ca_key and ssh_trust_ca_passphrase, or add the key to ssh-agent and set ssh_trust_ca_agent.",
        )


def _append(path: str, text: str) -> None:
    with open(path, "a", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def _timeless(krl: bytes) -> bytes:
    """The list without the time it was made at, so that it is the same for the same serials."""
    return krl[:_KRL_TIME] + bytes(_KRL_TIME_BYTES) + krl[_KRL_TIME + _KRL_TIME_BYTES :]


def current(text: str) -> Certificate | None:
    """The certificate in *text*, None for none and for one that cannot be read."""
    try:
        return parse(text) if text.strip() else None
    except Refused:
        return None
