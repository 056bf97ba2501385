# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the locate play left in the hypervisors' variables, as the planner's typed facts.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Site
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.live import MOVABLE_STATES
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import layout
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import (
    DomainFacts,
    FitFacts,
    ForecastFacts,
    HypervisorFacts,
    ProofFacts,
)

_UNCERTAIN_S = 1.0
"""A clock is read somewhere within a module call: an offset below that is not told from none."""


def hypervisors(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Inventory names of the hypervisors that were asked: of the whole group, or of those only_hosts named."""
    group = variables.get("groups", {}).get("hypervisors", ())
    answers = ("kvmops_survey", "kvmops_migrations", "kvmops_unusable")
    return tuple(name for name in group if any(one in variables["hostvars"][name] for one in answers))


def result_of(variables: Mapping[str, Any], host: str, name: str) -> Mapping[str, Any] | None:
    """What the task registered as *name* returned on *host*; None when it failed or did not run there."""
    found = variables["hostvars"][host].get(name)
    if not found or found.get("failed") or found.get("skipped"):
        return None
    return dict(found)


def read_site(variables: Mapping[str, Any]) -> Site:
    """The site as the locate play found it."""
    names = hypervisors(variables)
    surveyed = {name: result_of(variables, name, "kvmops_survey") for name in names}
    fits = {name: result_of(variables, name, "kvmops_fits") for name in names}
    measured = {name: result_of(variables, name, "kvmops_measured") or {} for name in names}
    return Site(
        hypervisors={
            name: HypervisorFacts.from_result(one["hypervisor"])
            for name, one in surveyed.items()
            if one and name not in unreachable(variables)
        },
        unreachable=unreachable(variables),
        guests={
            name: tuple(DomainFacts.from_result(guest) for guest in one["domains"])
            for name, one in surveyed.items()
            if one and "domains" in one
        },
        fits={
            name: {uuid: FitFacts.from_result(fit) for uuid, fit in one["fits"].items()}
            for name, one in fits.items()
            if one
        },
        addresses={name: address(variables["hostvars"][name], name) for name in names},
        proofs={name: _proofs(variables, name) for name in names},
        ahead_s={name: _ahead_s(one) for name, one in surveyed.items() if one},
        # Without an answer the task failed, which is not the end of the host: its guests have no forecast then.
        forecasts={name: ForecastFacts.from_result(one) for name, one in measured.items() if "loads" in one},
    )


def _ahead_s(surveyed: Mapping[str, Any]) -> float:
    return float(surveyed["hypervisor"]["clock"] - surveyed["controller_clock"]["ended"])


def _proofs(variables: Mapping[str, Any], name: str) -> dict[str, ProofFacts]:
    """What a hypervisor proved of the others; when the proof itself failed, that is said of each."""
    found = variables["hostvars"][name].get("kvmops_proofs") or {}
    if found.get("code"):
        why = {**found, "ok": False, "message": _plain(found)}
        wanted = result_of(variables, name, "kvmops_visitors") or {}
        return {one["name"]: ProofFacts.from_result(why) for one in wanted.get("peers", ())}
    return {one["peer"]: ProofFacts.from_result(one) for one in found.get("proofs", ())}


def unreachable(variables: Mapping[str, Any]) -> dict[str, str]:
    """Hypervisors that could not be surveyed, and why."""
    reasons = {name: variables["hostvars"][name].get("kvmops_unusable") for name in hypervisors(variables)}
    return {name: str(reason) for name, reason in reasons.items() if reason}


def address(host: Mapping[str, Any], name: str) -> str:
    """Where other hypervisors' ssh reaches a host: kvmops_address, else Ansible's own address."""
    return str(host.get("kvmops_address") or host.get("ansible_host") or name)


def visitors(variables: Mapping[str, Any], *, live: bool = False) -> list[dict[str, Any]]:
    """The located guests, as domain_fit_info takes them; for a live migration as they run."""
    found: list[dict[str, Any]] = []
    for name in hypervisors(variables):
        located = result_of(variables, name, "kvmops_survey") or {}
        planted = located.get("probes", {})
        found += [_visitor(DomainFacts.from_result(one), planted, live=live) for one in located.get("domains", ())]
    return found


def _visitor(guest: DomainFacts, planted: Mapping[str, str], *, live: bool) -> dict[str, Any]:
    directories = guest.directories or (guest.directory,)
    return {
        "xml": guest.live_xml or guest.xml if live else guest.xml,
        "directory": guest.directory,
        "probe": planted.get(guest.directory, ""),
        "places": list(layout.images(guest) if live else layout.places(guest)),
        "probes": {one: planted.get(one, "") for one in directories},
        "media": [one.path for one in guest.disks if one.readonly and one.path] if live else list(layout.media(guest)),
    }


def peers(variables: Mapping[str, Any], here: str, destination: str, port: int) -> list[dict[str, Any]]:
    """Whom *here* has to reach with the wanted guests it has: the destination, or every other when that is open."""
    located = result_of(variables, here, "kvmops_survey") or {}
    others = [name for name in hypervisors(variables) if name != here and destination in ("", "auto", name)]
    return [
        {"name": name, "address": address(variables["hostvars"][name], name), "port": port}
        for name in (others if located.get("domains") else ())
    ]


def to_measure(variables: Mapping[str, Any], here: str, chosen: Collection[str] | None) -> list[str]:
    """UUIDs of the wanted guests on *here* that can be moved live; of all that were found only those of *chosen*."""
    located = result_of(variables, here, "kvmops_survey") or {}
    return [
        one["uuid"]
        for one in located.get("domains", ())
        if one["state"] in MOVABLE_STATES and (chosen is None or one["uuid"] in chosen)
    ]


def _plain(failure: Mapping[str, Any]) -> str:
    """A failure's message without its code, subject and remedy."""
    words = str(failure["msg"]).removeprefix(f"{failure['code']}: {failure.get('subject', '')}: ")
    return words.removesuffix(str(failure.get("remedy", ""))).strip()


def migrations(variables: Mapping[str, Any]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """What migration_info or migration_survey returned, by inventory name, with what could not be read there."""
    tasks = ("kvmops_survey", "kvmops_migrations")
    answers = {(name, task): result_of(variables, name, task) for name in hypervisors(variables) for task in tasks}
    return {
        name: [*one["migrations"], *one.get("closed", ()), *one.get("unreadable", ())]
        for (name, _task), one in answers.items()
        if one and "migrations" in one
    }


def waiting_s(variables: Mapping[str, Any], host: str) -> dict[str, float]:
    """Which migrations wait for a slot on *host*, and how long ago each has asked last, seconds."""
    found = result_of(variables, host, "kvmops_migrations") or {}
    return {name: float(age) for name, age in found.get("waiting", {}).items()}


def clock_offset_s(variables: Mapping[str, Any], source: str, destination: str) -> float:
    """The destination's clock minus the source's, seconds; 0 when it is too small to tell."""
    offsets = []
    for name in (source, destination):
        one = result_of(variables, name, "kvmops_survey")
        if one is None:
            return 0.0
        offsets.append(_ahead_s(one))
    offset = offsets[1] - offsets[0]
    return offset if abs(offset) >= _UNCERTAIN_S else 0.0
