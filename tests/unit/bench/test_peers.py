# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts of the peers, run with stand-ins for the programs they call: what is called, and in which order."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.bench.moves.peers import PEERS, Disk, Job, back, marks

STAND_IN = """\
#!/bin/bash
printf '%s %s\\n' "${0##*/}" "$*" >> "$CALLS"
[[ ${0##*/} == virsh && $* == *domstate* ]] && echo 'shut off'
if [[ ${0##*/} == ssh ]]; then
    [[ $4 == 'bash -c '* ]] && exec bash -c "$4"
    [[ $4 == cat* ]] && cat > /dev/null
fi
exit 0
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A guest with a directory of the test's own."""
    (tmp_path / "app1").mkdir()
    (tmp_path / "app1/disk").write_text("content")
    return Job("app1", str(tmp_path / "app1"), "192.0.2.7")


def called(job: Job, lines: list[str]) -> tuple[list[str], str]:
    """The programs that a script calls, with their arguments, and what it printed."""
    place = Path(job.directory).parent
    programs = place / "programs"
    programs.mkdir()
    for name in ("virsh", "ssh", "scp", "rsync", "qemu-img"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    calls = place / "calls"
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls)}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    said = calls.read_text().replace(str(place), "/images")
    return [line for line in said.splitlines() if "domstate" not in line], done.stdout


def after_stop(calls: list[str]) -> list[str]:
    """What is called while the guest is away."""
    return calls[calls.index("virsh --quiet shutdown app1") + 1 :]


START = [
    "virsh --quiet start app1",
]


def test_kilo_tries_dry_and_copies_with_zlib(job: Job) -> None:
    calls = after_stop(called(job, PEERS["kilo"](job))[0])
    copy = "rsync --sparse --compress --compress-choice=zlib"
    assert calls[:2] == [
        f"{copy} --dry-run /images/app1_resize/disk 192.0.2.7:/images/app1/disk",
        f"{copy} /images/app1_resize/disk 192.0.2.7:/images/app1/disk",
    ]
    assert calls[3:] == ["qemu-img info /images/app1/disk", "virsh --quiet define /images/app1.xml", *START]


def test_kilo_flattens_what_has_a_backing_file(job: Job) -> None:
    based = Job(job.guest, job.directory, job.address, (Disk("disk", backing=True),))
    calls = after_stop(called(based, PEERS["kilo"](based))[0])
    assert calls[0] == "qemu-img convert -f qcow2 -O qcow2 /images/app1_resize/disk /images/app1_resize/disk_rbase"
    assert [call.split()[-2] for call in calls[1:3]] == ["/images/app1_resize/disk_rbase"] * 2


def test_today_copies_by_scp_without_compression(job: Job) -> None:
    calls = after_stop(called(job, PEERS["today-ssh"](job))[0])
    assert calls[0].startswith("qemu-img info --force-share")
    assert calls[1] == "scp -r /images/app1_resize/disk 192.0.2.7:/images/app1/disk"
    assert calls[-1:] == START


def test_today_never_flattens(job: Job) -> None:
    based = Job(job.guest, job.directory, job.address, (Disk("disk", backing=True),))
    assert not any("convert" in line for name in ("today-ssh", "today-rsync") for line in PEERS[name](based))


def test_today_by_rsync_makes_the_directory_before_the_stop(job: Job) -> None:
    calls = called(job, PEERS["today-rsync"](job))[0]
    before = calls[: calls.index("virsh --quiet shutdown app1")]
    assert any(call.startswith("rsync --archive --relative --no-implied-dirs") for call in before)
    assert after_stop(calls)[1] == "rsync -r --sparse /images/app1_resize/disk 192.0.2.7:/images/app1/disk"


def test_today_compresses_what_is_not_qcow2(job: Job) -> None:
    raw = Job(job.guest, job.directory, job.address, (Disk("disk", "raw"),))
    assert any(line.startswith("scp -C -r") for line in PEERS["today-ssh"](raw))


def test_offline_takes_the_definition_by_libvirt_and_parks_at_the_end(job: Job) -> None:
    calls = after_stop(called(job, PEERS["offline"](job))[0])
    assert calls[0] == "rsync -a --sparse /images/app1/ 192.0.2.7:/images/app1/"
    migrate = "virsh --quiet migrate --offline --persistent --undefinesource app1"
    assert calls[1] == f"{migrate} qemu+ssh://root@192.0.2.7/system"
    assert Path(f"{job.parked}/disk").exists()


@pytest.mark.parametrize("name", list(PEERS))
def test_every_peer_parks_the_disks_and_says_when_what_happened(job: Job, name: str) -> None:
    said = marks(called(job, PEERS[name](job))[1])
    assert list(said) == ["stop", "off", "start", "running"]
    assert sorted(said.values()) == list(said.values())
    assert Path(f"{job.parked}/disk").exists()
    assert not Path(job.directory).exists()


@pytest.mark.parametrize("parked", [True, False])
def test_back_gives_the_disks_their_place_again(job: Job, parked: bool) -> None:
    if parked:
        Path(job.directory).rename(job.parked)
        Path(job.directory).mkdir()
    (Path(job.parked if parked else job.directory) / "disk_rbase").touch()
    calls = called(job, back(job))[0]
    assert (Path(job.directory) / "disk").read_text() == "content"
    assert not (Path(job.directory) / "disk_rbase").exists()
    assert not Path(job.parked).exists()
    assert "virsh --quiet start app1" in calls


def test_marks_leaves_other_lines_alone() -> None:
    assert marks("MARK off 12.5\nnoise\nMARK torn\n") == {"off": 12.5}
