# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Novas of Debian's packages judge what the role nova_host writes, and what our table says of their options.

The role runs as it runs on a hypervisor, with the release's own Python, nova-manage and oslo-config-validator; only a
service to restart is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.nova_edit import edit
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.nova_options import SECTIONS
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.option import Option, Type
from ansible_collections.kvmops.mobility.tests.e2e import debian, lab
from ansible_collections.kvmops.mobility.tests.e2e.debian import RELEASES, Release
from ansible_collections.kvmops.mobility.tests.e2e.judges import Verdict, judge
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play
from ansible_collections.kvmops.mobility.tests.recipes import ARTICLE, TUNNELLED

pytestmark = pytest.mark.without_lab

OWN = "192.0.2.7"
PLAY = [{"hosts": "all", "gather_facts": False, "roles": ["kvmops.mobility.nova_host"]}]
TLS = {"nova_host_scheme": "tls", "nova_host_novncproxy_base_url": "http://192.0.2.100:6080/vnc_auto.html"}
EACH_RELEASE = pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.suite)


@dataclass(frozen=True)
class Case:
    """A file before the role was there, and how the role was called."""

    text: str | None
    """None: the one that the package ships."""
    variables: Mapping[str, Any]


CASES = {
    "article": Case(ARTICLE, {"nova_host_libvirt": {"live_migration_downtime": 300}}),
    "tunnelled": Case(TUNNELLED, TLS),
    "empty": Case("", {**TLS, "nova_host_libvirt": {"live_migration_permit_post_copy": True}}),
    "shipped": Case(None, {"nova_host_vnc_listen": "0.0.0.0", "nova_host_inbound_address": "c1.example.com"}),
}
FOUND_OUT = "empty"
"""Where the role asks Nova for its version, which takes seconds each time; in the others it is told."""
REFUSED = Case("[libvirt]\nvirt_type = kvm\n", {"nova_host_unmanaged": True, "nova_host_libvirt": {"no_option": 1}})


@dataclass(frozen=True)
class Edited:
    """What the role did on every host: one for each release and case."""

    directory: Path
    first: Run
    second: Run

    def text(self, release: Release, case: str) -> str:
        """The file as it is now."""
        return (self.directory / host(release, case) / "nova.conf").read_text(encoding="utf-8")

    def outcome(self, release: Release, case: str) -> Mapping[str, Any]:
        """What nova_conf returned in the first run."""
        ours = [one for one in self.first.results if one.action == "kvmops.mobility.nova_conf"]
        (found,) = (one.result for one in ours if one.host == host(release, case))
        return found


def host(release: Release, case: str) -> str:
    return f"{release.suite}-{case}"


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Unpacked, once for this machine."""
    debian.unpack()


@pytest.fixture(scope="module")
def edited(packages: None, tmp_path_factory: pytest.TempPathFactory) -> Edited:
    """The role on every file, twice, as one play: a host for each."""
    base = tmp_path_factory.mktemp("nova")
    hosts = {}
    for release in RELEASES:
        for name, case in {**CASES, "refused": REFUSED}.items():
            own = base / host(release, name)
            own.mkdir()
            text = release.shipped("nova.conf") if case.text is None else case.text
            (own / "nova.conf").write_text(str(text), encoding="utf-8")
            told = {} if name == FOUND_OUT else {"nova_host_version": f"{release.nova}.0.0"}
            hosts[own.name] = {**_reached(release, own), **told, **case.variables}
    (base / "play.yml").write_text(yaml.safe_dump(PLAY), encoding="utf-8")
    (base / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
    runs = [play(str(base / "play.yml"), {}, inventory=(base / "hosts.yml",), timeout_s=600) for _time in range(2)]
    return Edited(base, *runs)


def _reached(release: Release, directory: Path) -> dict[str, str]:
    """How Ansible gets into the unpacked packages: they are on this machine, behind a chroot."""
    return {
        "ansible_connection": "local",
        "ansible_host": OWN,
        "ansible_shell_executable": " ".join([*release.inside(directory), "/bin/sh"]),
        "ansible_python_interpreter": "/usr/bin/python3",
    }


Verdicts = Mapping[Release, Mapping[str, Verdict]]


@pytest.fixture(scope="module")
def verdicts(edited: Edited, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """On all files that the tests ask for; both releases at the same time."""

    def judged(release: Release) -> Mapping[str, Verdict]:
        texts = {case: edited.text(release, case) for case in CASES}
        return judge(release, {**texts, **others(release)}, tmp_path_factory.mktemp(release.suite))

    return dict(zip(RELEASES, lab.parallel(judged, RELEASES)))


def others(release: Release) -> dict[str, str]:
    """Files that the role has not seen."""
    every = {place: samples(option)[0] for place, option in table().items()}
    allowed = {f"allowed-{turn}": written(_turned(release, turn)) for turn in range(TURNS)}
    # Without old names: of two names for one option, Nova reads today's.
    beyond = {place: outside(option) for place, option in current(release).items() if not option.instead}
    return {
        "nothing": "",
        "article as it was": ARTICLE,
        "tunnelled as it was": TUNNELLED,
        "kept": edit(KEPT, {}, (), modernize=True).text,
        "shipped, all set": re.sub(
            r"^#([a-z][\w-]* = )", r"\1", release.shipped("nova.conf") or "", flags=re.MULTILINE
        ),
        "every option": written(every),
        "outside": written({place: value for place, value in beyond.items() if value}),
        **allowed,
    }


# --- what the role writes ----------------------------------------------------------------------------------------


@EACH_RELEASE
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_held_against_what_it_writes(release: Release, case: str, verdicts: Verdicts) -> None:
    verdict = verdicts[release][case]
    given = CASES[case].variables
    assert verdict.blamed == set()
    wanted = {
        "[DEFAULT]my_ip": OWN,
        "[vnc]server_listen": given.get("nova_host_vnc_listen", OWN),
        "[vnc]server_proxyclient_address": OWN,
        "[libvirt]live_migration_scheme": given.get("nova_host_scheme", "ssh"),
        "[libvirt]live_migration_inbound_addr": given.get("nova_host_inbound_address", OWN),
        "[libvirt]live_migration_with_native_tls": str("nova_host_scheme" in given),
    }
    assert {place: verdict.values[place] for place in wanted} == wanted


@EACH_RELEASE
def test_it_found_nova_and_its_validator(release: Release, edited: Edited) -> None:
    given = edited.outcome(release, FOUND_OUT)["invocation"]["module_args"]
    assert given["nova_version"].split(".")[0] == str(release.nova)
    assert given["validate"].startswith("oslo-config-validator --input-file %s ")


@EACH_RELEASE
@pytest.mark.parametrize("case", CASES)
def test_its_validator_had_nothing_to_say(release: Release, case: str, edited: Edited) -> None:
    outcome = edited.outcome(release, case)
    assert outcome["changed"]
    assert [one for one in outcome.get("warnings", ()) if "oslo-config-validator" in str(one)] == []


@EACH_RELEASE
def test_what_the_validator_refuses_is_not_written(release: Release, edited: Edited) -> None:
    outcome = edited.outcome(release, "refused")
    assert outcome["code"] == "CONF_REFUSED"
    assert "libvirt/no_option" in outcome["msg"]
    assert edited.text(release, "refused") == REFUSED.text


def test_a_second_run_changes_nothing(edited: Edited) -> None:
    assert {one.host for one in edited.second.results if one.result.get("changed")} == set()
    failed = {one.host for one in edited.second.results if one.outcome == "failed"}
    assert failed == {host(release, "refused") for release in RELEASES}


KEPT = "[libvirt]\nlive_migration_tunnelled = True\n"


@EACH_RELEASE
def test_tunnelling_that_nothing_replaces_stays_and_is_all_that_nova_warns_of(
    release: Release, verdicts: Verdicts
) -> None:
    (warned,) = verdicts[release]["kept"].blamed
    assert _names(warned, ("libvirt", "live_migration_tunnelled"))
    assert "deprecated for removal" in warned


# --- the judges themselves ---------------------------------------------------------------------------------------


@EACH_RELEASE
@pytest.mark.parametrize("recipe", ["article", "tunnelled"])
def test_they_reject_the_recipes_as_they_were(release: Release, recipe: str, verdicts: Verdicts) -> None:
    verdict = verdicts[release][f"{recipe} as it was"]
    assert verdict.unknown >= {"[libvirt]live_migration_flag", "[vnc]vncserver_proxyclient_address"}
    going = {"article": "live_migration_uri", "tunnelled": "live_migration_tunnelled"}[recipe]
    assert [line for line in verdict.warned if _names(line, ("libvirt", going))]


@EACH_RELEASE
def test_they_have_nothing_against_an_empty_file(release: Release, verdicts: Verdicts) -> None:
    verdict = verdicts[release]["nothing"]
    assert verdict.blamed == set()
    assert len(verdict.values) > 500


@EACH_RELEASE
def test_the_validator_knows_every_option_of_the_shipped_file(release: Release, verdicts: Verdicts) -> None:
    """Each is there in a comment. One that it did not know would keep it from judging a file that has it."""
    assert verdicts[release]["shipped, all set"].unknown == set()


# --- the table of options ----------------------------------------------------------------------------------------

Table = dict[tuple[str, str], Option]


def table() -> Table:
    return {(section, name): option for section, options in SECTIONS.items() for name, option in options.items()}


def has(release: Release, option: Option) -> bool:
    version = (release.nova,)
    return option.since <= version and not (option.until and version >= option.until)


def current(release: Release) -> Table:
    return {place: option for place, option in table().items() if has(release, option)}


def samples(option: Option) -> tuple[str, ...]:
    """Values at the ends of what our table lets through, TURNS at most."""
    ends = {
        Type.BOOLEAN: ("True", "False"),
        Type.INTEGER: (str(option.least), str(option.most)),
        Type.HOST: ("192.0.2.7", "2001:db8::7", "c1.example.com"),
    }
    return option.choices or ends.get(option.type, ("http://192.0.2.100:6080/vnc_auto.html",))


TURNS = 3


def _turned(release: Release, turn: int) -> dict[tuple[str, str], str]:
    return {place: samples(option)[turn % len(samples(option))] for place, option in current(release).items()}


def outside(option: Option) -> str:
    """A number just beyond bounds that our table has for a reason; empty where there is none."""
    if option.type is not Type.INTEGER:
        return ""
    return str(option.least - 1) if option.least > 0 else str(option.most + 1) if option.most < 2**31 - 1 else ""


def written(values: Mapping[tuple[str, str], str]) -> str:
    return "".join(f"[{section}]\n{name} = {value}\n" for (section, name), value in values.items())


def shown(places: Iterable[tuple[str, str]]) -> set[str]:
    return {f"[{section}]{name}" for section, name in places}


def _names(warned: str, place: tuple[str, str]) -> bool:
    return f'Option "{place[1]}" from group "{place[0]}" is deprecated' in warned


@EACH_RELEASE
def test_our_table_knows_which_options_it_has(release: Release, verdicts: Verdicts) -> None:
    verdict = verdicts[release]["every option"]
    here = current(release)
    assert verdict.unknown == shown({*table()} - {*here})
    going = {place for place in here if any(_names(line, place) for line in verdict.warned)}
    assert shown(going) | verdict.renamed == shown(place for place, option in here.items() if option.instead)


@EACH_RELEASE
def test_nova_takes_what_our_table_lets_through(release: Release, verdicts: Verdicts) -> None:
    assert [verdicts[release][f"allowed-{turn}"].wrong for turn in range(TURNS)] == [{}] * TURNS


@EACH_RELEASE
def test_numbers_that_our_table_refuses_nova_refuses(release: Release, verdicts: Verdicts) -> None:
    bounded = {place for place, option in current(release).items() if outside(option) and not option.instead}
    assert len(bounded) >= 5
    assert set(verdicts[release]["outside"].wrong) == shown(bounded)
