# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Nova of a Debian release says of configuration files: its validator, and its own parser."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.debian import Release

_THERE = "/etc/nova"
_UNKNOWN = re.compile(r"(\S+)/(\S+) is not part of the sample config")
_RENAMED = re.compile(r"Deprecated opt (\S+)/(\S+) found")


@dataclass(frozen=True)
class Verdict:
    """Both judges' words; options as C([section]name)."""

    unknown: frozenset[str]
    renamed: frozenset[str]
    """Those that Nova takes for others, for some time yet."""
    warned: tuple[str, ...]
    """What its parser said of options that are going, and of those renamed."""
    wrong: Mapping[str, str]
    """Values that it does not take."""
    values: Mapping[str, str]
    """What each option that it has is then, set or not."""

    @property
    def blamed(self) -> frozenset[str]:
        """All that was held against the file."""
        return self.unknown | self.renamed | frozenset(self.warned) | frozenset(self.wrong)


def judge(release: Release, texts: Mapping[str, str], scratch: Path) -> dict[str, Verdict]:
    """Have files with these texts judged."""
    for name, text in texts.items():
        (scratch / name).write_text(text, encoding="utf-8")
    paths = {name: f"{_THERE}/{name}" for name in texts}
    payload = {name: {"path": path, "validate": [*validator(path), "--fatal-warnings"]} for name, path in paths.items()}
    done = release.run(scratch, "python3", "-c", lab.BOOTSTRAP, stdin=lab.program("nova_judge", payload))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {*said} == {*texts}
    return {name: _verdict(one) for name, one in said.items()}


def _verdict(said: Mapping[str, Any]) -> Verdict:
    unknown, renamed = _named(_UNKNOWN, said["said"]), _named(_RENAMED, said["said"])
    assert said["code"] == (1 if unknown or renamed else 0), said["said"]
    return Verdict(unknown, renamed, tuple(said["warned"]), said["wrong"], said["values"])


def _named(pattern: re.Pattern[str], lines: Sequence[str]) -> frozenset[str]:
    found = (pattern.fullmatch(line) for line in lines)
    return frozenset(f"[{one.group(1)}]{one.group(2)}" for one in found if one)


def validator(path: str) -> list[str]:
    """The command that the role gives, for the file at *path*."""
    variables = yaml.safe_load((lab.ROOT / "roles/nova_host/vars/main.yml").read_text(encoding="utf-8"))
    return [word.replace("%s", path) for word in shlex.split(variables["nova_host_validator"])]
