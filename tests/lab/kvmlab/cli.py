"""The lab's verbs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from . import lab
from .config import LabError, host_spec
from .run import say
from .trust import ssh_argv

Verb = Callable[[argparse.Namespace], int]


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


def _up(_arguments: argparse.Namespace) -> int:
    lab.up()
    return 0


def _down(_arguments: argparse.Namespace) -> int:
    lab.down()
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    command: list[str] = arguments.command
    argv = [*ssh_argv(host_spec(arguments.host).address), *command]
    os.execvp(argv[0], argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Two libvirt hosts and small real guests on one machine.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    verbs.add_parser("up", help="bring everything up, healing what is broken").set_defaults(verb=_up)
    verbs.add_parser("down", help="take everything away but the cache").set_defaults(verb=_down)

    ssh = verbs.add_parser("ssh", help="run a command as root on a host, or open a shell there")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER)
    ssh.set_defaults(verb=_ssh)
    return parser
