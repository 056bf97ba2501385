# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of images among those of other guests, and of images with backing files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.catalogue import run
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Site
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Transfer
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import LinkFacts, SpaceFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import GIB, Layout, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    DIRECTORY,
    UUID,
    disk,
    domain_xml,
    entry,
    fit,
    guest,
    move,
    request,
    site,
)

BASE = LinkFacts("/b/base", "qcow2", GIB, "")
BACKED: dict[str, Any] = {"backing_path": "/b/base", "backing": (BASE,)}


def with_disk(**values: Any) -> Any:
    return guest(disks=(disk(**values),))


def says(**values: Any) -> Site:
    """The usual site with a c2 that says something odd of the guest."""
    return site(fits={"c2": {UUID: fit(**values)}})


def a_migration() -> Migration:
    (only,) = plan(request(), site(), lambda: "id-0").guests
    assert only.migration is not None
    return only.migration


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"backing": (replace(BASE, format=""),)}, "BACKING_FORMAT_UNKNOWN", "/b/base"),
        ({"backing": (replace(BASE, error="it is not a file"),)}, "BACKING_UNREADABLE", "/b/base below it: it is not"),
        ({"backing": (BASE, replace(BASE, path="/b/root", format="vmdk"))}, "FORMAT_UNSUPPORTED", "/b/root below it"),
        ({"internal_snapshots": 2}, "BACKING_SNAPSHOTS", "2 internal snapshot"),
    ],
)
def test_a_chain_that_is_not_flattened(values: dict[str, Any], code: str, words: str) -> None:
    """What the chain is comes with it as a warning."""
    findings = run(move(with_disk(**{**BACKED, **values})))
    assert [one.code for one in findings] == [code, "BACKING_CHAIN"]
    assert words in findings[0].message
    assert [one.blocks for one in findings] == [True, False]


def test_a_definition_that_names_what_is_below() -> None:
    store = "<backingStore type='file'><format type='qcow2'/><source file='/b/base'/></backingStore>"
    xml = domain_xml().replace("<target dev='vda'", f"{store}<target dev='vda'")
    assert "BACKING_DEFINED" in [one.code for one in run(move(guest(xml=xml, disks=(disk(**BACKED),))))]


POOL = "/var/lib/libvirt/images"
FLAT: dict[str, Any] = {"directory": POOL, "disks": (disk(path=f"{POOL}/web1.qcow2"),), "directory_users": ("db1",)}


@pytest.mark.parametrize(
    "one",
    [
        guest(**FLAT),
        guest(**{**FLAT, "directory_users": ()}),
        guest(**{**FLAT, "directory_entries": (entry("db1.qcow2"), entry("iso", "directory"))}),
        guest(directory="", disks=(disk(), disk(target="vdb", path="/srv/web1.qcow2"))),
    ],
)
def test_images_among_those_of_others_are_nothing_odd(one: Any) -> None:
    assert run(move(one)) == ()


def test_space_is_counted_on_each_file_system() -> None:
    one = guest(directory="", disks=(disk(), disk(target="vdb", path="/srv/web1.qcow2", allocated_bytes=3 * GIB)))
    spaces = (SpaceFacts(DIRECTORY, 1, 9 * GIB), SpaceFacts("/srv", 2, 3 * GIB))
    found = run(move(one, where=says(spaces=spaces)))
    assert [finding.code for finding in found] == ["DEST_DISK_FULL"]
    assert "3 GiB are really free" in found[0].message
    assert run(move(one, where=says(spaces=(spaces[0], replace(spaces[1], free_bytes=9 * GIB))))) == ()


def test_two_guests_of_one_directory_do_not_take_each_others_place() -> None:
    other = replace(a_migration(), directory=POOL, layout=Layout.FILES, destination="c2")
    other = replace(other, disks=(replace(other.disks[0], path=f"{POOL}/db1.qcow2"),))
    assert [one.code for one in run(move(guest(**FLAT), planned=(other,))) if "TAKEN" in one.code] == []
    same = replace(other, disks=(replace(other.disks[0], path=f"{POOL}/web1.qcow2"),))
    found = [one for one in run(move(guest(**FLAT), planned=(same,))) if "TAKEN" in one.code]
    assert [one.code for one in found] == ["DIRECTORY_TAKEN"]
    assert f"{POOL}/web1.qcow2" in found[0].message


@pytest.mark.parametrize(("transfer", "code"), [(Transfer.RSYNC, ["SOURCE_DISK_FULL"]), (None, [])])
def test_room_to_flatten_is_only_needed_for_files(transfer: Transfer | None, code: list[str]) -> None:
    where = site(fits={"c1": {UUID: fit(free_bytes=GIB)}, "c2": {UUID: fit()}})
    found = run(move(with_disk(**BACKED), request(transfer=transfer), where))
    assert [one.code for one in found] == ["BACKING_CHAIN", *code]
    assert all("vda of web1" in one.message and "1 GiB are free" in one.message for one in found[1:])


def test_a_chain_counts_as_a_whole() -> None:
    """A backing file in the guest's own directory is counted once: with the image that is made of both."""
    base = replace(BASE, path=f"{DIRECTORY}/base")
    entries = (entry(), entry("base"), entry("disk.config", allocated_bytes=5, apparent_bytes=5))
    one = guest(disks=(disk(backing=(base,)),), directory_entries=entries)
    assert move(one).bytes_to_copy == 2 * GIB + 5
    assert not move(one).has_holes
    assert move(one).bytes_by_directory == {"/var/lib/libvirt/images": 2 * GIB + 5}


def test_the_plan_has_the_chain() -> None:
    (found,) = plan(request(), site(with_disk(**BACKED)), lambda: "id-0").guests
    assert found.migration is not None
    (planned,) = found.migration.disks
    assert (planned.flatten, planned.allocated_bytes) == (True, 2 * GIB)
    assert [(one.path, one.format) for one in planned.backing] == [("/b/base", "qcow2")]
    assert any("BACKING_CHAIN" in line and "/b/base" in line for line in found.as_result()["lines"])
