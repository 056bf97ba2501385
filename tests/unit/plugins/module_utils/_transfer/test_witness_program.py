# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The witness as it runs on a hypervisor, but for systemd: its text on standard input, qemu-nbd, QEMU's own clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import export as exports
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.export import Export
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB

SIZE = 4 * MIB
PATIENCE_S = 30


def until(look: Callable[[], Any]) -> Any:
    """What *look* finds in the end."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


class Served:
    """An export whose directory is the test's own: a socket's path is short, so it is not where pytest's are."""

    def __init__(self, home: str, stall_s: int = 5) -> None:
        self.home = Path(home)
        self.image = self.home / "image"
        self.export = Export("id", "vda", str(self.image), "raw", "root", stall_s)
        self.process: subprocess.Popen[bytes] | None = None
        run(("qemu-img", "create", "-q", "-f", "raw", str(self.image), str(SIZE)), timeout_s=20)

    def start(self, *options: str) -> None:
        """With *options* in place of those that say what the image is."""
        argv = [one.replace(self.export.directory, str(self.home)) for one in exports.serve_argv(self.export)]
        argv = [
            one for one in argv if one not in ("--cache=none", "--aio=threads")
        ]  # not every file system has O_DIRECT
        if options:
            argv = [one for one in argv if not one.startswith("--format") and one != str(self.image)] + [*options]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdin
        self.process.stdin.write(exports.program().encode())
        self.process.stdin.close()
        until(self.state)

    def state(self) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = json.loads((self.home / "state.json").read_text(encoding="ascii"))
        except FileNotFoundError:
            return {}
        return found

    def ended(self) -> str:
        """What is missing to a proof once the last client is gone."""
        return exports.shortcoming(until(lambda: exports.has_ended(self.state()) and self.state()))

    @property
    def address(self) -> str:
        return f"nbd+unix:///?socket={self.home}/export.sock"

    def nbd(self) -> int:
        """The number of qemu-nbd's process."""
        assert self.process
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return int(children)

    def client(self) -> Client:
        return Client(self.address)

    def stop(self) -> int:
        """As systemd does it; the exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


class Client:
    """qemu-io, which holds its connection until it is told to go."""

    def __init__(self, address: str) -> None:
        self.process = subprocess.Popen(
            ["qemu-io", "-t", "none", "-f", "raw", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )

    def does(self, command: str) -> str:
        """The first line of what it answers to a command."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(command + "\n")
        line = self.process.stdout.readline().replace("qemu-io>", "").strip()
        if line.startswith("wrote"):
            self.process.stdout.readline()  # how long it took
        return line

    def goes(self) -> str:
        """Quits properly; the rest of what it had to say."""
        return self.process.communicate("quit\n", timeout=PATIENCE_S)[0]

    def is_killed(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an export; everything is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="kvmops-") as home:
        made: list[Served] = []

        def start(*options: str, stall_s: int = 5) -> Served:
            made.append(Served(home, stall_s))
            made[-1].start(*options)
            return made[-1]

        yield start
        for one in made:
            if one.process and one.process.poll() is None:
                one.process.terminate()
                one.process.wait(PATIENCE_S)


def test_a_good_copy_is_proven_and_whole(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    origin = tmp_path / "origin"
    origin.write_bytes(os.urandom(MIB) + bytes(MIB) + os.urandom(SIZE - 2 * MIB))
    argv = ("qemu-img", "convert", "-n", "-t", "none", "-f", "raw", "-O", "raw", str(origin), served.address)
    run(argv, timeout_s=PATIENCE_S)
    assert served.ended() == ""
    assert served.image.read_bytes() == origin.read_bytes()


def test_only_its_user_reaches_it(serve: Serve) -> None:
    served = serve()
    assert {one.name: stat.S_IMODE(one.stat().st_mode) for one in served.home.iterdir() if one != served.image} == {
        "export.sock": 0o600,
        "image.sock": 0o600,
        "state.json": 0o600,
    }


def test_without_a_client_nothing_is_proven(serve: Serve) -> None:
    assert exports.shortcoming(serve().state()) == "its export had 0 clients"


def test_a_client_that_is_still_there_has_proven_nothing(serve: Serve) -> None:
    served = serve()
    client = served.client()
    assert "wrote" in client.does("write 0 64k")
    assert until(lambda: served.state()["clients"])
    assert not exports.has_ended(served.state())
    assert "without a good-bye" in exports.shortcoming(served.state())
    client.goes()
    assert served.ended() == ""


def test_a_client_that_was_killed(serve: Serve) -> None:
    served = serve()
    client = served.client()
    assert "wrote" in client.does("write 0 64k")
    client.is_killed()
    assert served.ended() != ""
    assert served.state()["clients"][0]["said_goodbye"] is False


def test_a_second_client_even_while_it_is_there(serve: Serve) -> None:
    """What it writes is in nobody's account until it is gone, and the first one's must not stand for it."""
    served = serve()
    first = served.client()
    assert "wrote" in first.does("write 0 64k")
    first.goes()
    assert served.ended() == ""
    second = served.client()
    assert "wrote" in second.does("write 0 64k")
    assert exports.shortcoming(served.state()) == "its export had 2 clients"
    assert not exports.has_ended(served.state())
    second.goes()
    assert served.ended() == "its export had 2 clients"


def test_an_image_that_is_full(serve: Serve) -> None:
    """QEMU's own driver for faults: the file system has no room from the first write on."""
    with tempfile.NamedTemporaryFile(prefix="kvmops-") as file:
        file.truncate(SIZE)
        inner = f"driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={file.name}"
        served = serve("--image-opts", f"{inner},file.inject-error.0.event=pwritev,file.inject-error.0.errno=28")
        client = served.client()
        assert "No space left" in client.does("write 0 64k")
        client.goes()
    assert "answered with an error" in served.ended()


def test_an_export_that_hangs_is_left_after_the_bound(serve: Serve) -> None:
    served = serve(stall_s=1)
    client = served.client()
    assert "wrote" in client.does("write 0 64k")
    nbd = served.nbd()
    os.kill(nbd, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert "failed" in client.does("write 0 64k")
        took = time.monotonic() - began
    finally:
        os.kill(nbd, signal.SIGCONT)
    client.goes()
    assert 1 <= took < 4
    assert served.ended().startswith("an answer was not there after 1.")


def test_silence_without_a_question_is_no_stall(serve: Serve) -> None:
    """A guest that writes nothing for long keeps its mirror."""
    served = serve(stall_s=1)
    client = served.client()
    assert "wrote" in client.does("write 0 64k")
    time.sleep(1.5)
    assert "wrote" in client.does("write 0 64k")
    client.goes()
    assert served.ended() == ""


def test_an_export_that_dies_is_told(serve: Serve) -> None:
    served = serve()
    client = served.client()
    assert "wrote" in client.does("write 0 64k")
    os.kill(served.nbd(), signal.SIGKILL)
    assert served.process
    assert served.process.wait(PATIENCE_S) != 0
    client.goes()
    assert exports.shortcoming(served.state()) != ""


def test_told_to_end_it_ends_with_qemu_nbd_and_says_so(serve: Serve) -> None:
    served = serve()
    nbd = served.nbd()
    assert served.stop() == 0
    assert not Path(f"/proc/{nbd}").exists()
    assert served.state()["exit_code"] == 0
    assert exports.shortcoming(served.state()) == "its export ended by itself with 0"


def test_an_image_that_cannot_be_opened(serve: Serve, tmp_path: Path) -> None:
    served = Served(str(tmp_path))
    served.image.unlink()
    argv = [one.replace(served.export.directory, str(tmp_path)) for one in exports.serve_argv(served.export)]
    done = subprocess.run(
        argv, input=exports.program(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode != 0
    assert str(served.image) in done.stderr
    assert not (tmp_path / "export.sock").exists()


def test_one_that_says_nothing_and_leaves(serve: Serve) -> None:
    served = serve()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(served.home / "export.sock"))
    assert "without a good-bye" in served.ended()
