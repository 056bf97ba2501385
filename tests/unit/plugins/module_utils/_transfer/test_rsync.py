# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
import os
import shutil
import stat
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.rsync import (
    Copy,
    Peer,
    block_bytes,
    carry_out,
    copy_argv,
    differing,
    parse_sent,
    ssh_argv,
    target,
    verify,
    verify_argv,
)
from ansible_collections.kvmops.mobility.tests.unit.repository import ROOT
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import host_key

PEER = Peer("c2.example.com", "kvmops", "/images/web1.id.staging")
COPY = Copy(("/images/web1_resize/", "/state/definitions"), PEER, compress=False, bandwidth_mib_s=0, resume=False)


def remote_shell(argv: tuple[str, ...]) -> list[str]:
    return argv[argv.index("--rsh") + 1].split()


# --- argument vectors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compress", "resume", "limit"), list(itertools.product((True, False), (True, False), (0, 50)))
)
def test_the_copy(compress: bool, resume: bool, limit: int) -> None:
    argv = copy_argv(replace(COPY, compress=compress, resume=resume, bandwidth_mib_s=limit))
    assert argv[0] == "rsync"
    assert argv[-4:] == ("--", *COPY.sources, "kvmops@c2.example.com:/images/web1.id.staging/")
    assert {"--recursive", "--sparse", "--inplace", "--times", "--protect-args", "--stats"} <= set(argv)
    assert ("--compress" in argv) is compress
    assert ("--compress-choice=zstd" in argv) is compress
    assert ("--whole-file" in argv) is not resume
    assert ({"--no-whole-file", "--block-size=65536"} <= set(argv)) is resume
    assert "--ignore-times" in argv  # what a mirror has left there may have the very size and time
    assert "--ignore-times" not in copy_argv(replace(COPY, ignore_times=False))
    assert ("--bwlimit=50m" in argv) is bool(limit)
    assert any(one.startswith("--timeout=") for one in argv)
    assert not any("zlib" in one or one in ("-z", "-az") for one in argv)
    assert not {"--delete", "--remove-source-files", "--archive"} & set(argv)


@pytest.mark.parametrize(
    ("clusters", "largest", "expected"),
    [
        ([65536], 2**30, 65536),
        ([0], 2**30, 65536),
        ([], 0, 65536),
        ([0, 4096], 2**30, 4096),
        ([512], 2**30, 4096),
        ([2**21], 2**30, 131072),
        ([2**21, 32768], 2**30, 32768),
        ([4096], 2**34, 4096),
        ([4096], 2**34 + 1, 8192),
        ([65536], 2**39, 131072),
        ([65536], 2**50, 131072),
    ],
)
def test_blocks_are_as_large_as_clusters_and_not_too_many(clusters: list[int], largest: int, expected: int) -> None:
    assert block_bytes(clusters, largest) == expected


def test_the_comparison_copies_nothing() -> None:
    argv = verify_argv(replace(COPY, compress=True))
    assert {"--checksum", "--dry-run", "--itemize-changes"} <= set(argv)
    assert not {"--compress", "--inplace", "--whole-file"} & set(argv)
    assert argv[-4:] == ("--", *COPY.sources, target(PEER))


@pytest.mark.parametrize("argv", [copy_argv(COPY), verify_argv(COPY)], ids=["copy", "verify"])
def test_ssh_never_asks_and_never_trusts_an_unknown_key(argv: tuple[str, ...]) -> None:
    shell = remote_shell(argv)
    assert shell == list(ssh_argv(PEER))
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "Compression=no", "ServerAliveInterval=5"):
        assert option in shell
    assert "accept-new" not in " ".join(shell)
    assert "/dev/null" not in " ".join(shell)


@pytest.mark.parametrize(
    ("peer", "has", "lacks"),
    [
        (PEER, ["-p", "22"], ["-i", "IdentitiesOnly=yes"]),
        (replace(PEER, port=2222), ["-p", "2222"], ["22"]),
        (replace(PEER, identity_file="/root/.ssh/k"), ["-i", "/root/.ssh/k", "IdentitiesOnly=yes"], []),
        (replace(PEER, known_hosts_file="/etc/k"), ["UserKnownHostsFile=/etc/k"], []),
        (PEER, [], ["UserKnownHostsFile="]),
    ],
)
def test_ssh(peer: Peer, has: list[str], lacks: list[str]) -> None:
    argv = ssh_argv(peer)
    assert argv[0] == "ssh"
    assert set(has) <= set(argv)
    assert not any(one.startswith(word) for one in argv for word in lacks if word != "22")
    assert ("22" in argv) is ("22" not in lacks)


@pytest.mark.parametrize(
    ("address", "directory", "expected"),
    [
        ("c2", "/images/x", "kvmops@c2:/images/x/"),
        ("192.0.2.2", "/images/x/", "kvmops@192.0.2.2:/images/x/"),
        ("2001:db8::2", "/images/x", "kvmops@[2001:db8::2]:/images/x/"),
        ("fe80::1%eth0", "/images/x", "kvmops@[fe80::1%eth0]:/images/x/"),
    ],
)
def test_the_target(address: str, directory: str, expected: str) -> None:
    assert target(replace(PEER, address=address, directory=directory)) == expected


def test_a_path_that_rsync_would_take_apart_is_refused() -> None:
    with pytest.raises(Refused, match="/root/my keys/id") as refusal:
        copy_argv(replace(COPY, peer=replace(PEER, identity_file="/root/my keys/id")))
    assert refusal.value.code == "VALUE_INVALID"


# --- what rsync says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stats", "sent"),
    [
        ("Total bytes sent: 1,234,567\nTotal bytes received: 99\n", 1234567),
        ("Total bytes sent: 1.234.567\n", 1234567),
        ("Number of files: 3\nTotal bytes sent: 0\n", 0),
        ("rsync: something else\n", 0),
        ("", 0),
    ],
)
def test_bytes_on_the_wire(stats: str, sent: int) -> None:
    assert parse_sent(stats) == sent


@pytest.mark.parametrize(
    ("itemized", "names"),
    [
        ("", ()),
        ("<fc.T...... disk\n<f+++++++++ my disk.raw\ncd+++++++++ sub/\n", ("disk", "my disk.raw")),
        (".f..t...... disk\n.d..t...... ./\n", ()),
    ],
)
def test_files_that_differ(itemized: str, names: tuple[str, ...]) -> None:
    assert differing(itemized) == names


# --- rsync itself, with an ssh that goes nowhere -----------------------------------------------------------------


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The other hypervisor: ssh runs there what it is told to, and there is here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text('#!/bin/sh\nwhile [ "$1" != c2.example.com ]; do shift; done\nshift\nexec "$@"\n', encoding="ascii")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


def child(argv: Sequence[str]) -> Completed:
    return run(argv, timeout_s=60)


def a_copy(there: Path, **values: object) -> Copy:
    source = there.parent / "web1_resize"
    source.mkdir(exist_ok=True)
    if not (source / "disk").exists():
        with (source / "disk").open("wb") as disk:
            disk.write(os.urandom(300_000))
            disk.truncate(64 * 2**20)
    peer = replace(PEER, directory=str(there))
    return replace(COPY, sources=(f"{source}/",), peer=peer, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("compress", [True, False])
def test_a_sparse_image_arrives_sparse_and_the_same(there: Path, compress: bool) -> None:
    copy = a_copy(there, compress=compress)
    done = carry_out(copy, child, time.monotonic)
    assert (there / "disk").read_bytes() == Path(copy.sources[0], "disk").read_bytes()
    assert (there / "disk").stat().st_blocks * 512 < 2 * 2**20
    assert done.seconds > 0
    assert done.bytes_sent >= 300_000
    assert (done.bytes_sent < 2**20) is compress
    verify(copy, child)


def test_a_copy_that_was_interrupted_goes_on(there: Path) -> None:
    copy = a_copy(there)
    whole = carry_out(copy, child, time.monotonic).bytes_sent
    with (there / "disk").open("r+b") as disk:
        disk.write(b"x")
    os.utime(there / "disk", (1, 1))
    again = carry_out(replace(copy, resume=True), child, time.monotonic).bytes_sent
    assert 0 < again < whole / 10
    verify(copy, child)


def test_what_a_running_guest_changed_is_sent_although_size_and_time_are_the_same(there: Path) -> None:
    """rsync takes such a file for the same otherwise. What became zeros is zeros there, and takes no space."""
    copy = a_copy(there)
    source = Path(copy.sources[0], "disk")
    with source.open("r+b") as disk:
        disk.write(os.urandom(32 * 65536))
    carry_out(copy, child, time.monotonic)
    before = source.stat()
    with source.open("r+b") as disk:
        disk.write(bytes(65536 * 4))
        disk.seek(10 * 65536)
        disk.write(os.urandom(2 * 65536))
        disk.seek(500 * 65536)
        disk.write(os.urandom(65536))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.stat().st_size == before.st_size
    delta = carry_out(replace(copy, resume=True), child, time.monotonic)
    assert (there / "disk").read_bytes() == source.read_bytes()
    changed = 7 * 65536
    assert delta.bytes_sent < 1.05 * changed + 30_000
    assert (there / "disk").stat().st_blocks * 512 < 3 * 2**20


def test_without_a_first_pass_a_second_one_sends_everything(there: Path) -> None:
    copy = replace(a_copy(there), resume=True)
    carry_out(copy, child, time.monotonic)
    assert (there / "disk").read_bytes() == Path(copy.sources[0], "disk").read_bytes()
    assert (there / "disk").stat().st_blocks * 512 < 2 * 2**20


@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_copy_that_differs_is_named(there: Path, how: str) -> None:
    copy = a_copy(there)
    carry_out(copy, child, time.monotonic)
    if how == "missing":
        (there / "disk").unlink()
    else:
        with (there / "disk").open("r+b") as disk:
            disk.seek(10_000_000)
            disk.write(b"x")
    before = sorted(one.name for one in there.iterdir())
    with pytest.raises(MobilityError, match="differ there: disk") as error:
        verify(copy, child)
    assert (error.value.code, error.value.subject) == ("COPY_DIFFERS", "c2.example.com")
    assert sorted(one.name for one in there.iterdir()) == before


def failing_ssh(there: Path, words: str) -> None:
    ssh = there.parent / "bin" / "ssh"
    ssh.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 255\n", encoding="ascii")


def test_a_failure_is_explained_with_a_command_to_try(there: Path) -> None:
    failing_ssh(there, "ssh: connect to host c2.example.com port 22: No route to host")
    with pytest.raises(CommandFailed, match="No route to host") as error:
        carry_out(a_copy(there), child, time.monotonic)
    assert (error.value.code, error.value.subject) == ("COPY_FAILED", "c2.example.com")
    assert "kvmops@c2.example.com true" in error.value.remedy
    assert "StrictHostKeyChecking=yes" in error.value.remedy
    assert error.value.facts["returncode"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("changed-ed25519", "HOST_KEY_CHANGED"),
        ("unknown", "HOST_KEY_UNKNOWN"),
        ("revoked", "HOST_KEY_REVOKED"),
        ("certificate-expired", "CERTIFICATE_EXPIRED"),
        ("auth-refused", "SSH_AUTH_REFUSED"),
    ],
)
def test_what_a_repair_of_the_trust_mends_says_so(there: Path, said: str, code: str) -> None:
    words = ROOT / "tests/unit/data/ssh" / f"{said}.txt"
    ssh = there.parent / "bin" / "ssh"
    ssh.write_text(f"#!/bin/sh\ncat {words} >&2\nexit 255\n", encoding="ascii")
    with pytest.raises(CommandFailed) as error:
        carry_out(a_copy(there), child, time.monotonic)
    assert (error.value.code, error.value.subject) == (code, "c2.example.com")
    assert "ansible-playbook kvmops.mobility.repair_trust" in error.value.remedy
    assert "@@@" not in str(error.value)


def test_a_changed_key_names_the_line_and_both_fingerprints(there: Path) -> None:
    known_hosts = there.parent / "known_hosts"
    kept = host_key(1)
    known_hosts.write_text(f"# ours\nc2.example.com {kept.line}\n", encoding="ascii")
    failing_ssh(
        there,
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n"
        "The fingerprint for the ED25519 key sent by the remote host is\nSHA256:offered.\n"
        f"Offending ED25519 key in {known_hosts}:2\n"
        "Host key for c2.example.com has changed and you have requested strict checking.",
    )
    with pytest.raises(CommandFailed) as error:
        carry_out(a_copy(there), child, time.monotonic)
    assert error.value.message == (f"it offers ED25519 SHA256:offered, but {known_hosts}:2 has {fingerprint(kept)}.")
    assert error.value.facts["line"] == 2


def test_a_destination_that_is_full(there: Path) -> None:
    failing_ssh(there, "rsync: write failed: No space left on device (28)")
    with pytest.raises(CommandFailed) as error:
        carry_out(a_copy(there), child, time.monotonic)
    assert (error.value.code, error.value.subject) == ("DEST_DISK_FULL", "c2.example.com")
    assert str(there) in error.value.message


def test_without_rsync(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(there))
    with pytest.raises(CommandFailed) as error:
        carry_out(a_copy(there), child, time.monotonic)
    assert (error.value.code, error.value.subject) == ("COMMAND_MISSING", "rsync")


def test_modes_of_the_source_are_not_carried_over(there: Path) -> None:
    """The receiver is an unprivileged user; owner and mode come from the record."""
    copy = a_copy(there)
    Path(copy.sources[0], "disk").chmod(0o4755)
    carry_out(copy, child, time.monotonic)
    assert not stat.S_IMODE((there / "disk").stat().st_mode) & stat.S_ISUID
    shutil.rmtree(there)
