# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's verbs."""

from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone

from . import guest, lab, sharing, trouble, watch
from .config import GIB, HOSTS, MOST_HOSTS, LabError, host_spec
from .content import COMPRESSIBLE, CONTENTS, SEEDED, mib_for_allocated
from .domain import GuestSpec
from .host import Host
from .load import parse_load
from .outage import Outage
from .run import say
from .trust import ssh_argv
from .verify import GuestView, verify

Verb = Callable[[argparse.Namespace], int]

# OpenStack's five defaults: vCPUs, memory in MiB, root disk in GiB
FLAVORS = {
    "m1.tiny": (1, 512, 1),
    "m1.small": (1, 2048, 20),
    "m1.medium": (2, 4096, 40),
    "m1.large": (4, 8192, 80),
    "m1.xlarge": (8, 16384, 160),
}
PLAIN = (1, 256, 1)


def main(argv: Sequence[str]) -> int:
    """Run one verb; what went wrong is one line on stderr."""
    arguments = _parser().parse_args(argv)
    verb: Verb = arguments.verb
    try:
        return verb(arguments)
    except LabError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; `lab up` or `lab down` puts things right")
        return 130


def _up(arguments: argparse.Namespace) -> int:
    if arguments.hosts > len(HOSTS):
        # What the lab is made of is read once, at the start of a program.
        os.environ["KVMLAB_HOSTS"] = str(arguments.hosts)
        os.execv(sys.executable, [sys.executable, "-m", "kvmlab", "up"])
    lab.up()
    return 0


def _down(_arguments: argparse.Namespace) -> int:
    lab.down()
    return 0


def _status(arguments: argparse.Namespace) -> int:
    views = lab.status()
    if arguments.json:
        print(json.dumps([asdict(view) for view in views], indent=2))
    else:
        for view in views:
            print(" ".join([f"{view.name}  {'up' if view.up else 'down':4}  {view.address} ", *view.troubles]).rstrip())
            for name, state in sorted(view.guests.items()):
                print(f"    {name}  {state}")
    return 0 if all(view.up for view in views) else 1


def _cut(arguments: argparse.Namespace) -> int:
    trouble.cut(Host(host_spec(arguments.host)), arguments.seconds)
    return 0


def _heal(arguments: argparse.Namespace) -> int:
    trouble.heal(Host(host_spec(arguments.host)), arguments.after)
    return 0


def _shape(arguments: argparse.Namespace) -> int:
    trouble.shape(Host(host_spec(arguments.host)), arguments.mbit)
    return 0


def _crash(arguments: argparse.Namespace) -> int:
    host = Host(host_spec(arguments.host))
    if host.leader() is None:
        raise LabError(f"host {host.name} is down already")
    host.crash()
    return 0


def _boot(arguments: argparse.Namespace) -> int:
    lab.boot(arguments.host)
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    command: list[str] = arguments.command
    argv = [*ssh_argv(host_spec(arguments.host).address), *command]
    os.execvp(argv[0], argv)


def _create(arguments: argparse.Namespace) -> int:
    vcpus, memory_mib, root_gib = FLAVORS[arguments.flavor] if arguments.flavor else PLAIN
    load = parse_load(arguments.load) if arguments.load is not None else None
    data_mib = arguments.data_mib
    if arguments.allocated_gib:
        data_mib = mib_for_allocated(arguments.content, arguments.allocated_gib)
        root_gib = max(root_gib, data_mib // 1024 + 1)
    spec = GuestSpec(
        name=arguments.name,
        uuid=str(uuid.UUID(arguments.uuid) if arguments.uuid else uuid.uuid4()),
        vcpus=arguments.vcpus or vcpus,
        memory_mib=arguments.memory_mib or memory_mib,
        root_gib=arguments.root_gib or root_gib,
        image_format=arguments.format,
        data_mib=data_mib,
        content=arguments.content,
        backing=arguments.backing,
        disks=arguments.disks,
        config_drive=arguments.config_drive,
        ignore_acpi=arguments.ignore_acpi,
        hang=arguments.hang,
        ticks=arguments.ticks or load is not None,
        load=load,
    )
    guest.create(spec, Host(host_spec(arguments.host)), lab.all_hosts(), start=not arguments.off)
    print(f"{spec.name}  {'shut off' if arguments.off else 'running'}  {arguments.host}  {spec.uuid}")
    return 0


def _destroy(arguments: argparse.Namespace) -> int:
    if not guest.destroy(arguments.name, lab.all_hosts()):
        say(f"there was nothing of a guest {arguments.name!r}")
    return 0


def _share(arguments: argparse.Namespace) -> int:
    print(f"{arguments.name}  as on {sharing.share(arguments.name, lab.all_hosts())}")
    return 0


def _console(arguments: argparse.Namespace) -> int:
    print(guest.console(arguments.name, lab.all_hosts()), end="")
    return 0


def _outage(arguments: argparse.Namespace) -> int:
    outage = watch.seen(arguments.name, arguments.since)
    if arguments.json:
        print(json.dumps({**asdict(outage), "ok": not outage.problems}, indent=2))
    else:
        _print_outage(outage)
    for problem in outage.problems:
        say(f"guest {arguments.name}: {problem}")
    return 1 if outage.problems else 0


def _print_outage(outage: Outage) -> None:
    if outage.longest_gap_s is not None:
        until = "now" if outage.ended is None else f"{_moment(outage.ended)} on {outage.ended_on}"
        print(f"longest gap {outage.longest_gap_s:.2f} s, {_moment(outage.began)} on {outage.began_on} to {until}")
    if outage.longest_fsync_s is not None:
        print(f"longest fsync {outage.longest_fsync_s:.2f} s, {_moment(outage.longest_fsync_at)}")
    if outage.acknowledged is not None:
        print(f"last acknowledged record {outage.acknowledged}, {outage.refused} refused")
    for line in outage.rewritten:
        print(line)
    print(f"{outage.ticks} ticks of {outage.boots} boots, not looked for up to {outage.watcher_late_s:.2f} s")


def _moment(unix_s: float | None) -> str:
    return datetime.fromtimestamp(unix_s or 0, timezone.utc).strftime("%H:%M:%S.%f")[:-4] + "Z"


def _watch(arguments: argparse.Namespace) -> int:
    hosts = lab.all_hosts()
    watch.watch(arguments.name, lambda: guest.consoles(arguments.name, hosts))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    view = verify(arguments.name, lab.all_hosts())
    if arguments.json:
        print(json.dumps({**asdict(view), "ok": not view.problems}, indent=2))
    else:
        _print_view(view)
    for problem in view.problems:
        say(f"guest {view.name}: {problem}")
    return 1 if view.problems else 0


def _print_view(view: GuestView) -> None:
    print(f"{view.name}  {view.state}  {view.host}  {view.uuid}")
    print(f"    {view.vcpus} vCPU, {view.memory_mib} MiB, root disk {view.root_bytes / GIB:g} GiB")
    for disk in view.disks:
        print(f"    {disk.target}  {disk.bytes} bytes  data {'ok' if disk.ok else 'DIFFERS'}  {disk.sha256}")
    if view.load_newest is not None:
        print(f"    load: newest record {view.load_newest}, acknowledged {view.load_acknowledged}")
    if view.config_drive_ok is not None:
        print(f"    config drive {'ok' if view.config_drive_ok else 'DIFFERS'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Libvirt hosts and small real guests on one machine.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    up = verbs.add_parser("up", help="bring everything up, healing what is broken")
    up.add_argument("--hosts", type=int, choices=range(2, MOST_HOSTS + 1), default=2, help="how many (default 2)")
    up.set_defaults(verb=_up)
    verbs.add_parser("down", help="take everything away but the cache").set_defaults(verb=_down)

    status = verbs.add_parser("status", help="hosts and guests; exit code 0 when all hosts are up")
    status.add_argument("--json", action="store_true", help="the same as data")
    status.set_defaults(verb=_status)

    _add_trouble_verbs(verbs)

    ssh = verbs.add_parser("ssh", help="run a command as root on a host, or open a shell there")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER)
    ssh.set_defaults(verb=_ssh)

    _add_guest_verbs(verbs.add_parser("guest", help="small real guests"))
    return parser


def _add_trouble_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cut = verbs.add_parser("cut", help="cut a host's link both ways, silently")
    cut.add_argument("host", metavar="HOST")
    cut.add_argument("seconds", metavar="SECONDS", nargs="?", type=float, help="heal it by itself after so long")
    cut.set_defaults(verb=_cut)

    heal = verbs.add_parser("heal", help="mend a link that was cut")
    heal.add_argument("host", metavar="HOST")
    heal.add_argument("--after", metavar="SECONDS", type=float, default=0, help="wait first")
    heal.set_defaults(verb=_heal)

    shape = verbs.add_parser("shape", help="limit a host's link, each way")
    shape.add_argument("host", metavar="HOST")
    shape.add_argument("mbit", metavar="MBIT", type=int, help="megabits a second; 0 for no limit")
    shape.set_defaults(verb=_shape)

    crash = verbs.add_parser("crash", help="power loss: the host is off, and what its storage had not synced is gone")
    crash.add_argument("host", metavar="HOST")
    crash.set_defaults(verb=_crash)

    boot = verbs.add_parser("boot", help="boot a host that crashed and wait until it can be used")
    boot.add_argument("host", metavar="HOST")
    boot.set_defaults(verb=_boot)


def _add_guest_verbs(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_create(verbs.add_parser("create", help="make a guest and wait until its agent answers"))

    destroy = verbs.add_parser("destroy", help="remove a guest and all that is left of it, on every host")
    destroy.add_argument("name", metavar="NAME")
    destroy.set_defaults(verb=_destroy)

    shared = verbs.add_parser("share", help="let all hosts see its directory, as storage that they share")
    shared.add_argument("name", metavar="NAME")
    shared.set_defaults(verb=_share)

    console = verbs.add_parser("console", help="print what the guest wrote to its serial console")
    console.add_argument("name", metavar="NAME")
    console.set_defaults(verb=_console)

    outage = verbs.add_parser("outage", help="the longest time a guest with --ticks or --load stood still")
    outage.add_argument("name", metavar="NAME")
    outage.add_argument(
        "--since", type=float, default=0, metavar="T", help="leave out what ended before (Unix seconds)"
    )
    outage.add_argument("--json", action="store_true", help="the same as data")
    outage.set_defaults(verb=_outage)

    watching = verbs.add_parser("watch", help="what `guest create` starts for --ticks: note when they come")
    watching.add_argument("name", metavar="NAME")
    watching.set_defaults(verb=_watch)

    check = verbs.add_parser("verify", help="where it is, how big, and whether its data is what was seeded")
    check.add_argument("name", metavar="NAME")
    check.add_argument("--json", action="store_true", help="the same as data")
    check.set_defaults(verb=_verify)


def _add_create(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME")
    add("--host", required=True, choices=[spec.name for spec in HOSTS])
    add("--flavor", choices=list(FLAVORS), help="a size; the next three override its parts")
    add("--vcpus", type=int, metavar="N", help="default 1")
    add("--memory-mib", type=int, metavar="N", help="default 256")
    add("--root-gib", type=int, metavar="N", help="default 1")
    add("--format", choices=["qcow2", "raw"], default="qcow2", help="of its disks (default qcow2)")
    add("--data-mib", type=int, default=16, metavar="N", help="seeded content on each disk (default 16)")
    add(
        "--allocated-gib", type=int, metavar="N", help="instead: content that takes so much room, and a disk to hold it"
    )
    add("--content", choices=CONTENTS, default=SEEDED, help="of its disks; the other two are quick for many GiB")
    add("--compressible", action="store_const", dest="content", const=COMPRESSIBLE, help="--content compressible")
    add("--backing", action="store_true", help="the root disk is an overlay on a base image")
    add("--disks", type=int, default=1, metavar="N", help="all disks, the root disk included (default 1)")
    add("--config-drive", action="store_true", help="a read-only ISO image as OpenStack attaches it")
    add("--off", action="store_true", help="define it, do not start it")
    add("--uuid", metavar="UUID", help="default: a random one")
    add("--ignore-acpi", action="store_true", help="a guest that ignores every polite shutdown")
    add("--hang", action="store_true", help="a guest that runs but never answers")
    add("--ticks", action="store_true", help="ten lines a second on its console, timed outside: see `guest outage`")
    works = "memory=MIB,disk=MIB,cpu=N,hot=MIB,stress=MIB,lull=S"
    add("--load", metavar="WORK", help=f"{works}: what it keeps writing and doing; with --ticks")
    parser.set_defaults(verb=_create)
