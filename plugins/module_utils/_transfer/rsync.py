# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copying a directory of images to the peer with rsync over ssh, run on the source.

The argument vectors are pure functions. The flags follow what was measured: no zlib ever (34 MiB/s a core);
zstd where most of a file is holes, because rsync reads holes and sends them as zeros; whole files where the target
is absent; blocks as large as the image's clusters where it is not, since a guest's writes change whole clusters;
aes128-gcm as cipher.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import errors
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts_file import stored_fingerprint

_CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com"
_IO_TIMEOUT_S = 60
BLOCK_BYTES = 65536
"""qcow2's usual cluster, and what measured best for raw images."""
_BLOCK_LEAST, _BLOCK_MOST = 4096, 131072
"""rsync takes no larger blocks; smaller ones cost both sides more memory than they save on the wire."""
_BLOCKS_MOST = 4 * 2**20
"""Of one file, as far as the largest block allows: each takes some 40 bytes of memory on both sides."""
_SENT = re.compile(r"^Total bytes sent: ([\d,.]+)", re.MULTILINE)
_NO_SPACE = "No space left on device"
_EXPLAINED = (
    "HOST_KEY_CHANGED",
    "HOST_KEY_UNKNOWN",
    "HOST_KEY_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "SSH_AUTH_REFUSED",
)
"""What repairing the trust mends. Where ssh did not get through, its own words and a command to try say more."""


@dataclass(frozen=True)
class Peer:
    """Where the copy goes: an ssh identity and a directory that user may write."""

    address: str
    """Name, IPv4 or IPv6 address."""
    user: str
    directory: str
    port: int = 22
    identity_file: str = ""
    """Private key; empty: what root's ssh offers."""
    known_hosts_file: str = ""
    """Empty: ssh's own."""
    control_path: str = ""
    """Socket of an ssh whose connection may be shared; empty: a connection of its own."""


@dataclass(frozen=True)
class Copy:
    """What is copied and how."""

    sources: tuple[str, ...]
    """Files and directories; a directory with a trailing slash means its contents."""
    peer: Peer
    compress: bool
    bandwidth_mib_s: int
    """0 = no limit."""
    resume: bool
    """The target may hold part of it: send what is missing instead of whole files."""
    block_bytes: int = BLOCK_BYTES
    """What is compared, and sent when it differs, with *resume*."""
    ignore_times: bool = True
    """A file with the same size and time is compared all the same."""


@dataclass(frozen=True)
class Copied:
    """What went over the wire."""

    bytes_sent: int
    seconds: float


def ssh_argv(peer: Peer, alive: tuple[int, int] = (5, 6)) -> tuple[str, ...]:
    """ssh that never asks, never trusts an unknown key, and gives up on a silent link.

    *alive*: how often the other side is asked whether it lives, seconds, and how many questions may stay unanswered.
    """
    interval_s, unanswered = alive
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": str(interval_s),
        "ServerAliveCountMax": str(unanswered),
        "Compression": "no",
        "Ciphers": _CIPHERS,
    }
    if peer.known_hosts_file:
        options["UserKnownHostsFile"] = peer.known_hosts_file
    if peer.control_path:
        options["ControlPath"] = peer.control_path
    argv = ["ssh", "-T", "-p", str(peer.port)]
    for name, value in options.items():
        argv += ["-o", f"{name}={value}"]
    if peer.identity_file:
        argv += ["-i", peer.identity_file, "-o", "IdentitiesOnly=yes"]
    return tuple(argv)


def target(peer: Peer) -> str:
    """rsync's name for the peer's directory; IPv6 literals need brackets (Launchpad 1601822)."""
    host = f"[{peer.address}]" if ":" in peer.address else peer.address
    return f"{peer.user}@{host}:{peer.directory.rstrip('/')}/"


def _common(peer: Peer) -> list[str]:
    remote_shell = ssh_argv(peer)
    spaced = [word for word in remote_shell if re.search(r"\s", word)]
    if spaced:
        raise Refused(
            "VALUE_INVALID", spaced[0], "a path with white space cannot be given to rsync's ssh.", "Use another path."
        )
    return ["rsync", "--recursive", "--protect-args", f"--timeout={_IO_TIMEOUT_S}", "--rsh", " ".join(remote_shell)]


def copy_argv(copy: Copy) -> tuple[str, ...]:
    """The copy itself. C(--inplace) keeps what an interrupted run has sent.

    What is there in a move is not believed: it may have been copied from under a running guest and have the source's
    size and time all the same. Every block of it is compared.
    """
    argv = [*_common(copy.peer), "--times", "--sparse", "--inplace", "--stats"]
    comparing = ["--no-whole-file", f"--block-size={copy.block_bytes}"]
    argv += ["--ignore-times"] if copy.ignore_times else []
    argv += comparing if copy.resume else ["--whole-file"]
    if copy.compress:
        argv += ["--compress", "--compress-choice=zstd", "--compress-level=1"]
    if copy.bandwidth_mib_s:
        argv.append(f"--bwlimit={copy.bandwidth_mib_s}m")
    return (*argv, "--", *copy.sources, target(copy.peer))


def block_bytes(clusters: Iterable[int], largest_file: int) -> int:
    """The block to compare images by that have these cluster sizes, bytes; 0 stands for one without clusters.

    A call has one for all its files: the smallest, so that no image sends more than what changed in it, unless the
    *largest_file*, bytes with its holes, would have too many of them.
    """
    block = max(min((one or BLOCK_BYTES for one in clusters), default=BLOCK_BYTES), _BLOCK_LEAST)
    while block < _BLOCK_MOST and largest_file > block * _BLOCKS_MOST:
        block *= 2
    return min(block, _BLOCK_MOST)


def verify_argv(copy: Copy) -> tuple[str, ...]:
    """A comparison by checksum of both sides that copies nothing and names each file that differs."""
    argv = [*_common(copy.peer), "--checksum", "--dry-run", "--itemize-changes"]
    return (*argv, "--", *copy.sources, target(copy.peer))


def parse_sent(stats: str) -> int:
    """Bytes on the wire from C(--stats), 0 when rsync did not say."""
    found = _SENT.search(stats)
    return int(re.sub(r"[,.]", "", found.group(1))) if found else 0


def differing(itemized: str) -> tuple[str, ...]:
    """Names of the files that C(verify_argv()) reports as different."""
    lines = (line.split(maxsplit=1) for line in itemized.splitlines() if line.startswith("<f"))
    return tuple(words[1] for words in lines if len(words) > 1)


Runner = Callable[[Sequence[str]], Completed]
"""Runs an argument vector to its end; raises CommandFailed(COMMAND_FAILED) when that is not 0."""


def carry_out(copy: Copy, runner: Runner, monotonic: Callable[[], float]) -> Copied:
    """Copy. Raises CommandFailed: COPY_FAILED, DEST_DISK_FULL, or what ssh refused, such as HOST_KEY_CHANGED."""
    began = monotonic()
    done = _run(copy, copy_argv(copy), runner)
    return Copied(bytes_sent=parse_sent(done.stdout), seconds=monotonic() - began)


def verify(copy: Copy, runner: Runner) -> None:
    """Compare. Raises MobilityError(COPY_DIFFERS) naming the files."""
    files = differing(_run(copy, verify_argv(copy), runner).stdout)
    if files:
        raise MobilityError(
            "COPY_DIFFERS",
            copy.peer.address,
            f"after the copy these files differ there: {', '.join(files)}.",
            "Nothing was started from it. Look at the storage of both hypervisors, then run it again.",
        )


def _run(copy: Copy, argv: Sequence[str], runner: Runner) -> Completed:
    try:
        return runner(argv)
    except CommandFailed as error:
        if error.code != "COMMAND_FAILED":
            raise
        raise _explained(copy, error) from None


def _explained(copy: Copy, error: CommandFailed) -> CommandFailed:
    where = copy.peer.address
    if _NO_SPACE in error.message:
        return CommandFailed(
            "DEST_DISK_FULL",
            where,
            f"{copy.peer.directory}: no space was left for the copy.",
            "Free space there or choose another destination.",
        )
    words = error.message.partition(": ")[2]  # without the exit code
    failure = errors.parse_error(words, where)
    if failure is not None and failure.code in _EXPLAINED:
        return errors.as_error(errors.with_stored(failure, stored_fingerprint), where)
    return CommandFailed(
        "COPY_FAILED",
        where,
        f"rsync to {target(copy.peer)} {error.message}",
        f"Try it as root on the source: {' '.join((*ssh_argv(copy.peer), f'{copy.peer.user}@{where}', 'true'))}",
        **error.facts,
    )
