# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the named guest is, and whether it is free to be worked on.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Site
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Operation
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import ClaimFacts, DomainFacts, LockFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import STATE_DIRECTORY

_LISTED = 20
"""So many names fit a message; the rest are counted."""


@dataclass(frozen=True)
class Located:
    """One guest, and the hypervisor it lives on."""

    hypervisor: str
    guest: DomainFacts


def locate(subject: str, site: Site) -> Located | Finding:
    """The guest an operator named by *subject* (a name or UUID), or why there is no one such guest."""
    matches = [
        Located(name, guest)
        for name, guests in sorted(site.guests.items())
        for guest in guests
        if guest.name == subject or guest.uuid == subject.lower()
    ]
    if not matches:
        return _not_found(subject, site)
    uuids = sorted({match.guest.uuid for match in matches})
    if len(uuids) > 1:
        return _ambiguous(subject, matches)
    return _one_place(subject, uuids[0], matches, site)


def _one_place(subject: str, uuid: str, matches: Sequence[Located], site: Site) -> Located | Finding:
    """An open migration explains a guest that two hypervisors define: it is where it arrived."""
    claims = site.claims_of(uuid)
    if claims:
        arrived = {name for name, claim in claims if claim.role == "destination"}
        return next((match for match in matches if match.hypervisor in arrived), matches[0])
    places = sorted({match.hypervisor for match in matches} | _defining(uuid, site))
    if len(places) > 1:
        return _two_hosts(subject, uuid, places, site)
    return matches[0]


def _defining(uuid: str, site: Site) -> set[str]:
    """Hypervisors that define the UUID, under whatever name."""
    return {name for name, facts in site.hypervisors.items() if any(one.uuid == uuid for one in facts.domains)}


def _not_found(subject: str, site: Site) -> Finding:
    names = sorted({one.name for facts in site.hypervisors.values() for one in facts.domains})
    if any(subject in (one.name, one.uuid) for facts in site.hypervisors.values() for one in facts.domains):
        return found(
            "FACTS_MISSING",
            subject,
            f"{subject} is listed by a hypervisor, which told nothing more about it; it may just have been removed.",
        )
    known = f"Guests that exist: {listing(names)}." if names else "No hypervisor has any guest."
    guess = did_you_mean(subject, names)
    if site.unreachable:
        silent = "; ".join(f"{name}: {reason}" for name, reason in sorted(site.unreachable.items()))
        return found(
            "HYPERVISOR_UNREACHABLE",
            subject,
            f"no hypervisor that answered has {subject}; it may be on one that did not ({silent}). {known}{guess}",
        )
    asked = listing(sorted(site.hypervisors)) or "none: the group 'hypervisors' is empty"
    message = f"no hypervisor has a guest with the name or UUID {subject} (asked: {asked}). {known}{guess}"
    return found("GUEST_NOT_FOUND", subject, message)


def _ambiguous(subject: str, matches: Sequence[Located]) -> Finding:
    places = ", ".join(f"{match.guest.uuid} on {match.hypervisor}" for match in matches)
    return found(
        "GUEST_ON_TWO_HOSTS",
        subject,
        f"different guests are called {subject}: {places}.",
        "Name the one you mean by its UUID: -e vm=UUID.",
    )


def _two_hosts(subject: str, uuid: str, places: Sequence[str], site: Site) -> Finding:
    machines = {site.hypervisors[name].host_uuid for name in places if name in site.hypervisors}
    if len(machines) == 1:
        return found(
            "GUEST_ON_TWO_HOSTS",
            subject,
            f"{subject} was found on {' and '.join(places)}, which are one machine (host UUID {machines.pop()}).",
            "Keep one of these names in the inventory group 'hypervisors'.",
        )
    return found(
        "GUEST_ON_TWO_HOSTS",
        subject,
        f"the guest {uuid} is defined on {' and on '.join(places)}, and no open migration explains it.",
    )


def busy(located: Located, site: Site) -> Finding | None:
    """BUSY when somebody holds the guest's lock on any hypervisor; LOCK_UNREADABLE when nobody can tell."""
    for hypervisor, lock in site.locks_of(located.guest.uuid):
        if not lock.migration:
            path = f"{STATE_DIRECTORY}/locks/{lock.uuid}.json"
            message = f"its lock file {path} there cannot be read: it may be worked on."
            remedy = f"When kvmops.mobility.status shows that nobody does, on {hypervisor}: rm {path}"
            return found("LOCK_UNREADABLE", f"{located.guest.name} on {hypervisor}", message, remedy)
        return found("BUSY", located.guest.name, _holder(hypervisor, lock))
    return None


def _holder(hypervisor: str, lock: LockFacts) -> str:
    since = datetime.fromtimestamp(lock.since, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"the guest is being worked on by migration {lock.migration} of {lock.owner} ({lock.command}) "
        f"since {since}; its lock is on {hypervisor}."
    )


def awaiting_verdict(located: Located, site: Site) -> tuple[str, ClaimFacts] | None:
    """The finished migration that waits for confirm or revert, with its destination; None when there is none."""
    claims = site.claims_of(located.guest.uuid)
    if any(claim.status in _ON_THE_WAY_OUT for _name, claim in claims):
        return None
    return next(((name, claim) for name, claim in claims if claim.status == Status.FINISHED.value), None)


_ON_THE_WAY_OUT = frozenset({Status.CONFIRMING.value, Status.REVERTING.value, Status.ERROR.value})


def unfinished(located: Located, site: Site) -> Finding | None:
    """MIGRATION_OPEN when a migration of the guest was begun and neither ended nor reached its verdict.

    Of one whose record or journal cannot be read nobody knows that: then its own code.
    """
    claims = site.claims_of(located.guest.uuid)
    if not claims:
        return None
    for name, claim in claims:
        if claim.problem:
            what = f"{located.guest.name}: migration {claim.migration} on {name}"
            return found(claim.problem["code"], what, claim.problem["message"], claim.problem["remedy"])
    told = "; ".join(
        f"{claim.status} on {name}, its {claim.role} ({claim.peer} is the other side)" for name, claim in claims
    )
    message = f"migration {claims[0][1].migration} of the guest is open: {told}."
    live = any(claim.operation == Operation.LIVE_MIGRATE.value for _name, claim in claims)
    remedy = "Run kvmops.mobility.recover, which goes on with it or takes it back." if live else ""
    return found("MIGRATION_OPEN", located.guest.name, message, remedy)


def did_you_mean(subject: str, names: Iterable[str]) -> str:
    """A sentence with the names that are close to *subject*, or nothing."""
    close = difflib.get_close_matches(subject, list(names), n=3)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def listing(names: Sequence[str]) -> str:
    """The names, comma-separated; a long list ends with how many more there are."""
    shown = ", ".join(names[:_LISTED])
    more = len(names) - _LISTED
    return f"{shown} and {more} more" if more > 0 else shown
