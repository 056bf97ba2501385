# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ssh's last words mean: which check failed, for whom, and which file and line it went by.

ssh has one exit code for everything. Its words, in the C locale, are all there is to tell a re-installed host from a
user who is not let in.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed

REPAIR = "ansible-playbook kvmops.mobility.repair_trust"

_ENDS = re.compile(r"\r+(?=\n|$)")
_OFFERED = re.compile(r"^The fingerprint for the (\S+) key sent by the remote host is\s+(\S+?)\.?$", re.MULTILINE)
_OFFENDING = re.compile(r"^Offending (\S+) key in (.+):(\d+)$", re.MULTILINE)
_CHANGED_BANNER = "REMOTE HOST IDENTIFICATION HAS CHANGED"
_CHANGED_HOST = re.compile(r"^(?:Host key for|\S+ host key for) (\S+) has changed and you have requested", re.MULTILINE)
_UNKNOWN = re.compile(r"^No (\S+) host key is known for (\S+) and you have requested strict checking", re.MULTILINE)
_REVOKED = re.compile(r"^The (\S+) host key for (\S+) is marked as revoked", re.MULTILINE)
_REVOKED_BY_FILE = re.compile(r"^Host key (\S+) (SHA256:\S+) revoked by file (.+)$", re.MULTILINE)
_CERTIFICATE = re.compile(r"^Certificate invalid: (.+)$", re.MULTILINE)
_NOT_NOW = ("expired", "not yet valid")
_NOT_VERIFIED = "Host key verification failed."
# rsync's own "Permission denied (13)" is about a file.
_DENIED = re.compile(r"^(?:(\S+)@(\S+): )?Permission denied \([a-z][a-z,-]*\)", re.MULTILINE)
_TOO_MANY = re.compile(r"Too many authentication failures")
_UNREACHABLE = re.compile(
    r"^(?:ssh: )?(connect to host (\S+) port \d+: .+|Could not resolve hostname (\S+): .+"
    r"|Unable to negotiate with (\S+) port \d+: .+|(?:Connection closed|Connection reset|Connection timed out)"
    r"(?: by (?:remote host|(\S+))(?: port \d+)?)?"
    r"|kex_exchange_identification: .+|banner exchange: .+|Connection to (\S+) .*timed out.*)\.?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class SshFailure:
    """Why ssh did not get in."""

    code: str
    """HOST_KEY_CHANGED, HOST_KEY_UNKNOWN, HOST_KEY_REVOKED, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED, SSH_AUTH_REFUSED
    or SSH_UNREACHABLE."""
    host: str
    """As ssh knows it, such as C([192.0.2.12]:2222)."""
    message: str
    file: str = ""
    line: int = 0
    key_type: str = ""
    """As ssh calls it, such as ED25519."""
    offered_fingerprint: str = ""
    have_fingerprint: str = ""
    """Of the key in that line. ssh does not say it: C(with_stored()) looks."""

    @property
    def remedy(self) -> str:
        """What to do."""
        return _REMEDIES[self.code]

    def as_facts(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "host": self.host,
            "file": self.file,
            "line": self.line,
            "key_type": self.key_type,
            "offered_fingerprint": self.offered_fingerprint,
            "have_fingerprint": self.have_fingerprint,
        }


_REMEDIES = {
    "HOST_KEY_CHANGED": "Was that host installed anew? Compare the offered fingerprint on its console, then run: "
    f"{REPAIR} If not, somebody else answers there.",
    "HOST_KEY_UNKNOWN": f"Run: {REPAIR}",
    "HOST_KEY_REVOKED": f"Make new host keys on that host, then run: {REPAIR}",
    "CERTIFICATE_EXPIRED": f"Look at the clocks of both hosts, then renew it: {REPAIR}",
    "CERTIFICATE_REVOKED": f"Find out why it was revoked; when the host is what it should be: {REPAIR}",
    "SSH_AUTH_REFUSED": f"Run: {REPAIR} When that does not help, see the log of sshd there.",
    "SSH_UNREACHABLE": "See whether that host is up, and its sshd answers at that address and port.",
}


def parse_error(text: str, host: str = "") -> SshFailure | None:
    """What ssh's standard error says, None when that is nothing we know. *host* stands in where ssh names none."""
    words = _ENDS.sub("", text)
    readers = (_revoked, _certificate, _changed, _unknown, _auth, _unreachable)
    found = (reader(words, host) for reader in readers)
    return next((one for one in found if one is not None), None)


def _revoked(words: str, host: str) -> SshFailure | None:
    marked = _REVOKED.search(words)
    listed = _REVOKED_BY_FILE.search(words)
    if marked:
        kind, name, file, offered = marked.group(1), marked.group(2), "", ""
        message = f"its {kind} host key is marked as revoked in known_hosts."
    elif listed:
        kind, name, file, offered = listed.group(1), host, listed.group(3), listed.group(2)
        message = f"its {kind} host key {offered} is revoked by {file}."
    else:
        return None
    code = "CERTIFICATE_REVOKED" if kind.endswith("-CERT") else "HOST_KEY_REVOKED"
    return SshFailure(code, name, message, file, 0, kind, offered)


def _certificate(words: str, host: str) -> SshFailure | None:
    found = _CERTIFICATE.search(words)
    if not found:
        return None
    reason = found.group(1).strip()
    unknown = _UNKNOWN.search(words)
    name = unknown.group(2) if unknown else host
    code = "CERTIFICATE_EXPIRED" if reason in _NOT_NOW else "HOST_KEY_UNKNOWN"
    return SshFailure(code, name, f"its host certificate is not valid: {reason}.")


def _changed(words: str, host: str) -> SshFailure | None:
    name = _CHANGED_HOST.search(words)
    if _CHANGED_BANNER not in words and not name:
        return None
    offered = _OFFERED.search(words)
    offending = _OFFENDING.search(words)
    failure = SshFailure(
        "HOST_KEY_CHANGED",
        name.group(1) if name else host,
        "",
        offending.group(2) if offending else "",
        int(offending.group(3)) if offending else 0,
        offered.group(1) if offered else "",
        offered.group(2) if offered else "",
    )
    return replace(failure, message=_differs(failure))


def _differs(failure: SshFailure) -> str:
    offered = " ".join(one for one in (failure.key_type, failure.offered_fingerprint) if one) or "another host key"
    known = f" {failure.have_fingerprint}" if failure.have_fingerprint else " another one"
    where = f"{failure.file}:{failure.line} has{known}" if failure.file else "known_hosts has another one"
    return f"it offers {offered}, but {where}."


def with_stored(failure: SshFailure, stored: Callable[[str, int], str]) -> SshFailure:
    """With the fingerprint that the file has in that line; *stored* looks, on the host where ssh ran."""
    if not failure.file or not failure.line:
        return failure
    known = replace(failure, have_fingerprint=stored(failure.file, failure.line))
    return replace(known, message=_differs(known))


def _unknown(words: str, host: str) -> SshFailure | None:
    found = _UNKNOWN.search(words)
    if found:
        kind, name = found.groups()
        return SshFailure("HOST_KEY_UNKNOWN", name, f"no {kind} host key of it is known here.", "", 0, kind)
    if _NOT_VERIFIED in words:
        return SshFailure("HOST_KEY_UNKNOWN", host, "its host key could not be verified.")
    return None


def _auth(words: str, host: str) -> SshFailure | None:
    found = _DENIED.search(words)
    if not found and not _TOO_MANY.search(words):
        return None
    user, name = found.groups() if found else ("", "")
    who = f"the user {user}" if user else "the user"
    return SshFailure("SSH_AUTH_REFUSED", name or host, f"its sshd did not let {who} in.")


def _unreachable(words: str, host: str) -> SshFailure | None:
    found = _UNREACHABLE.search(words)
    if not found:
        return None
    names = [one for one in found.groups()[1:] if one]
    return SshFailure("SSH_UNREACHABLE", names[0] if names else host, f"ssh says: {found.group(1).rstrip('.')}.")


def as_error(failure: SshFailure, subject: str = "") -> CommandFailed:
    """The failure as an error for the operator; *subject* is what the operator calls the host."""
    name = subject or failure.host
    return CommandFailed(failure.code, name, failure.message, failure.remedy, **failure.as_facts())
