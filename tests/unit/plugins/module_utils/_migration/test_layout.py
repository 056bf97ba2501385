# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests go with their directory, and what of the others goes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._migration import layout
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Layout, Link
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    DIRECTORY,
    UUID,
    config_drive,
    disk,
    guest,
    request,
    site,
)

POOL = "/var/lib/libvirt/images"


def flat(**values: Any) -> Any:
    return guest(**{"directory": POOL, "directory_users": ("db1",), **values})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Layout.DIRECTORY),
        ({"directory_users": ("db1",)}, Layout.FILES),
        ({"directory_special": "it is a mount point"}, Layout.FILES),
        ({"directory_foreign": ("db1.qcow2",)}, Layout.FILES),
        ({"directory": POOL}, Layout.FILES),
        ({"directory": POOL + "/"}, Layout.FILES),
        ({"directory": "", "directory_entries": ()}, Layout.FILES),
    ],
)
def test_the_directory_goes_only_when_it_is_the_guests_alone(values: dict[str, Any], expected: Layout) -> None:
    assert layout.of(guest(**values)) is expected


@pytest.mark.parametrize(
    ("values", "carried"),
    [
        ({"path": f"{POOL}/web1-seed.iso"}, True),
        ({"path": f"/boot/{UUID}.config"}, True),
        ({"path": f"{POOL}/web10.iso"}, False),
        ({"path": f"{POOL}/debian-12.iso"}, False),
        ({"path": f"{POOL}/web1.iso", "users": ("db1",)}, False),
        ({"path": f"{POOL}/web1.iso", "apparent_bytes": layout.OWN_MEDIUM_BYTES + 1}, False),
        ({"source_type": "", "path": ""}, False),
    ],
)
def test_a_config_drive_among_others_goes_and_an_installers_medium_stays(values: dict[str, Any], carried: bool) -> None:
    medium = config_drive(**values)
    one = flat(disks=(disk(path=f"{POOL}/web1.qcow2"), medium))
    assert layout.is_carried(one, medium) is carried
    assert layout.media(one) == (() if carried or not medium.path else (medium.path,))
    assert layout.places(one) == (f"{POOL}/web1.qcow2", *((medium.path,) if carried else ()))


def test_with_the_directory_goes_what_is_in_it() -> None:
    one = guest(disks=(disk(), config_drive(), config_drive(target="sdb", path="/iso/x")))
    assert layout.places(one) == (DIRECTORY,)
    assert [each.target for each in layout.carried(one)] == ["vda", "sda"]
    assert layout.media(one) == ("/iso/x",)


def planned(one: Any) -> Any:
    (found,) = plan(request(), site(one), lambda: "id-1").guests
    assert found.migration is not None, found.findings
    return found


def test_the_names_of_files_that_are_moved() -> None:
    disks = (disk(path=f"{POOL}/web1.qcow2"), disk(target="vdb", path="/srv/web1.qcow2"))
    found = planned(flat(directory="", disks=disks))
    one = found.migration
    assert (one.layout, one.directory, one.directories) == (Layout.FILES, POOL, (POOL, "/srv"))
    assert [(each.name, each.place, each.parked, each.reverted, each.staged) for each in one.parkings] == [
        (
            name,
            f"{where}/web1.qcow2",
            *(f"{where}/.id-1.{kind}/web1.qcow2" for kind in ("resize", "reverted", "staging")),
        )
        for name, where in (("vda", POOL), ("vdb", "/srv"))
    ]
    assert one.staged_in == (f"{POOL}/.id-1.staging", "/srv/.id-1.staging")
    assert [one.staged(each) for each in one.disks] == [each.staged for each in one.parkings]
    text = "\n".join(step.what for step in found.steps)
    assert f"park vda, vdb in {POOL}/.id-1.resize, /srv/.id-1.resize" in text


def test_a_medium_that_stays_is_none_of_what_is_renamed() -> None:
    one = planned(flat(disks=(disk(path=f"{POOL}/web1.qcow2"), config_drive(path="/iso/x")))).migration
    assert [each.carried for each in one.disks] == [True, False]
    assert [each.place for each in one.parkings] == [f"{POOL}/web1.qcow2"]


def test_a_record_of_before_there_was_a_choice_is_of_a_directory() -> None:
    one = planned(guest()).migration
    data = one.as_result()
    del data["layout"]
    for each in data["disks"]:
        for key in ("cluster_bytes", "flatten", "backing", "carried"):
            del each[key]
    assert type(one).from_result(data) == one
    assert [each.place for each in one.parkings] == [DIRECTORY]


def test_a_chain_is_in_the_record() -> None:
    one = DiskPlan("vda", "/a/disk", "qcow2", "disk", 1, 1, 1, flatten=True, backing=(Link("/b/base", "raw"),))
    assert DiskPlan.from_result({**vars(one), "backing": [{"path": "/b/base", "format": "raw"}]}) == one


def test_the_plan_tells_what_strangers_keep_the_directory_here() -> None:
    found = planned(guest(directory_foreign=("db1.qcow2",)))
    assert found.migration.layout is Layout.FILES
    assert any("does not name: db1.qcow2)" in step.what for step in found.steps)
