# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A revert that takes the newer disks along: each side's steps, and that each can be taken back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import (
    claim,
    discard,
    export,
    hand_over,
    proof,
    take_over,
    undo,
    verdict,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import OnTimeout
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, record, reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data, Stop, Verify
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Layout
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB

GROWN = 3 * MIB
"""Somebody made the disk larger still, on the destination."""
_UNCOUNTED: dict[str, Any] = {"definition_digests": {}, "contents": {}, "contents_here": {}}
"""What a take-over is given only in a move."""


def claims(bed: Bed, data: str = "copy_back", **params: Any) -> dict[str, Any]:
    return bed.carry_out(Step.CLAIM, claim.plan, Phase.REVERT, data=data, **params)


def picture(bed: Bed) -> list[str]:
    """Every path of the images, and what is in the files."""
    top = bed.root / "images"
    return sorted(
        f"{one.relative_to(top)} {digest.digest(str(one)) if one.is_file() else ''}" for one in top.rglob("*")
    )


# --- the destination, which gives the guest back -----------------------------------------------------------------


@pytest.fixture
def there(bed: Bed) -> Bed:
    """A destination where the guest runs, its disk larger than the move made it."""
    bed.guest()
    run(("qemu-img", "resize", "-q", "-f", "qcow2", f"{bed.directory}/disk", str(GROWN)), timeout_s=20)
    bed.keep_record("destination", source_address="192.0.2.1")
    return bed


def test_the_claim_says_what_would_be_sent(there: Bed) -> None:
    found = claims(there)
    assert (found["data"], found["started"], found["left_over"], found["running"]) == ("copy_back", False, False, True)
    assert found["sizes"] == {"vda": GROWN}
    assert list(found["weights"]) == [there.directory]
    assert found["weights"][there.directory] > 0


def test_a_guest_that_was_given_up_already_has_nothing_to_send(there: Bed) -> None:
    there.domain()._handle.destroy()
    there.domain().undefine(keep_nvram=False, keep_tpm=False, remove_managed_save=False)
    assert claims(there)["sizes"] == {}


def test_a_claim_of_a_discard_looks_at_no_disk(there: Bed) -> None:
    found = claims(there, data="discard")
    assert "sizes" not in found


@pytest.mark.parametrize("change", ["another", "more", "backing"])
def test_other_disks_than_those_that_were_moved_are_refused(there: Bed, change: str) -> None:
    there.domain()._handle.destroy()
    if change == "backing":
        snapped = f"{there.directory}/disk"
        os.rename(snapped, f"{there.directory}/base")
        run(("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", snapped), timeout_s=20)
    elif change == "more":
        extra = f"<disk type='file' device='disk'><source file='{there.root}/more'/><target dev='vdb'/></disk>"
        there.hypervisor.define(there.xml(extra={"devices": extra}))
    else:
        there.hypervisor.define(there.xml().replace(f"{there.directory}/disk", f"{there.directory}/disk.snap"))
    with pytest.raises(Refused) as refusal:
        claim.plan(there.context(Phase.REVERT, data="copy_back"))
    assert refusal.value.code == "COPY_BACK_DISKS_CHANGED"


def test_the_hand_over_says_what_to_copy_where(there: Bed) -> None:
    migration = there.migration(source_address="192.0.2.1")
    claims(there)
    found = there.carry_out(Step.HAND_OVER, hand_over.plan, Phase.REVERT)
    assert found["copies"] == [{"src": [f"{migration.reverted}/"], "dest": migration.returning_in[0]}]
    assert (found["flatten"], found["resume"]) == ([], False)
    assert [one["name"] for one in found["entries"]] == ["disk"]


def test_a_hand_over_that_discards_sends_nothing(there: Bed) -> None:
    claims(there, data="discard")
    assert "copies" not in there.carry_out(Step.HAND_OVER, hand_over.plan, Phase.REVERT)


def test_the_plug_is_pulled_only_where_the_data_is_thrown_away() -> None:
    stop = Stop(on_timeout="abort")
    assert hand_over.policy(stop, Phase.REVERT).on_timeout is OnTimeout.FORCE
    assert hand_over.policy(stop, Phase.REVERT, Data.COPY_BACK).on_timeout is OnTimeout.ABORT
    assert hand_over.policy(stop, Phase.MOVE).on_timeout is OnTimeout.ABORT


# --- the source, which takes it back -----------------------------------------------------------------------------


class Coming:
    """A source that has parked its guest in the move, and where newer disks arrive."""

    def __init__(self, bed: Bed, layout: Layout, verify: Verify = Verify.QUICK) -> None:
        self.bed = bed
        bed.guest()
        self.migration = bed.keep_record("source", source_address="192.0.2.1", layout=layout, verify=verify)
        for name in (record.OLD_DEFINITION, record.NEW_DEFINITION):
            record.keep_definition(bed.store, ID, name, bed.xml())
        bed.carry_out(Step.HAND_OVER, hand_over.plan)
        self.flat = layout is Layout.FILES
        self.placing = "place_vda" if self.flat else "place"
        self.params: dict[str, Any] = {}
        self.arrival = Path(self.migration.returning_in[0])
        self.before = picture(bed)

    def claim(self, **params: Any) -> dict[str, Any]:
        weights = {self.bed.directory: MIB}
        return claims(self.bed, **{"back": {"sizes": {"vda": GROWN}, "weights": weights}, **params})

    def arrive(self, size: int = GROWN) -> None:
        """A place, and in it what came."""
        made = self.bed.carry_out(Step.EXPORT, export.plan, Phase.REVERT, migration_user="root", serve=False)
        assert made["effects"] == ["stage"]
        assert os.stat(self.arrival).st_mode & 0o777 == 0o700
        made_of = ("qemu-img", "create", "-q", "-f", "qcow2", f"{self.arrival}/disk", str(size))
        run(made_of, timeout_s=20)
        self.params = {
            "digests": dict(digest.digests(str(self.arrival))),
            "directory_owner": {"uid": os.getuid(), "gid": os.getgid(), "mode": 0o711},
            "entries": [],
        }

    def take(self) -> list[str]:
        params = {**_UNCOUNTED, **self.params}
        found: list[str] = self.bed.carry_out(Step.TAKE_OVER, take_over.plan, Phase.REVERT, **params)["effects"]
        return found

    def take_until(self, last: str) -> None:
        """The power is lost after the effect *last*."""
        context = self.bed.context(Phase.REVERT, **_UNCOUNTED, **self.params)
        for one in take_over.plan(context).effects:
            self.bed.note(Step.TAKE_OVER, one.name, one.undo, Phase.REVERT)
            one.do()
            if one.name == last:
                return

    def undo(self, **params: Any) -> None:
        self.bed.carry_out(Step.UNDO, undo.plan, Phase.REVERT, **params)

    def discard(self) -> list[str]:
        found: list[str] = self.bed.carry_out(Step.DISCARD, discard.plan, Phase.REVERT)["effects"]
        return found


@pytest.fixture(params=list(Layout), ids=lambda one: one.value)
def coming(bed: Bed, request: pytest.FixtureRequest) -> Coming:
    return Coming(bed, request.param)


def test_the_guest_comes_back_to_the_disks_that_arrived(coming: Coming) -> None:
    coming.claim()
    coming.arrive()
    tidied = ["tidy"] if coming.flat else []
    assert coming.take() == ["own", "check", coming.placing, "start", "autostart", *tidied]
    assert coming.bed.domain().state() == "running"
    assert image.inspect(f"{coming.bed.directory}/disk", "qcow2").virtual_bytes == GROWN
    assert os.listdir(coming.migration.parked) == ["disk"]
    assert not coming.arrival.exists()
    assert coming.discard() == ["remove", "forget"]
    assert [str(one) for one in (coming.bed.root / "images").rglob("*")] == [
        coming.bed.directory,
        f"{coming.bed.directory}/disk",
    ]


def test_another_size_than_the_destination_has_is_not_taken(coming: Coming) -> None:
    coming.claim()
    coming.arrive(2 * MIB)
    with pytest.raises(MobilityError) as error:
        coming.take()
    assert error.value.code == "IMAGE_SIZE_DIFFERS"
    assert not os.path.lexists(f"{coming.bed.directory}/disk")


@pytest.mark.parametrize("layout", list(Layout), ids=lambda one: one.value)
def test_what_a_full_move_brings_back_is_compared_file_by_file(bed: Bed, layout: Layout) -> None:
    """Nobody has counted what is on the disks, and what was counted for the move is none of it."""
    coming = Coming(bed, layout, Verify.FULL)
    coming.claim()
    coming.arrive()
    found = coming.params["digests"]
    coming.params["digests"] = {}
    with pytest.raises(MobilityError) as error:
        coming.take()
    assert error.value.code == "COPY_DIFFERS"
    coming.params["digests"] = found
    assert "start" in coming.take()


@pytest.mark.parametrize("as_far_as", ["claim", "arrive", "own", "place"])
def test_until_it_is_started_everything_can_be_taken_back(coming: Coming, as_far_as: str) -> None:
    coming.claim()
    if as_far_as != "claim":
        coming.arrive()
    if as_far_as not in ("claim", "arrive"):
        coming.take_until(coming.placing if as_far_as == "place" else as_far_as)
    coming.undo()
    assert picture(coming.bed) == coming.before
    assert coming.bed.domain().is_off()
    assert journal.pending_undo(coming.bed.journal(), Phase.REVERT) == ()


def test_what_was_started_is_not_taken_back(coming: Coming) -> None:
    coming.claim()
    coming.arrive()
    coming.take_until("start")
    with pytest.raises(Refused) as refusal:
        coming.undo()
    assert refusal.value.code == "GUEST_MAY_HAVE_RUN"
    assert coming.bed.domain().state() == "running"


def test_what_was_taken_over_is_not_taken_back(coming: Coming) -> None:
    coming.claim()
    coming.arrive()
    coming.take()
    with pytest.raises(Refused) as refusal:
        coming.undo()
    assert refusal.value.code == "ILLEGAL_MOVE"
    assert coming.bed.domain().state() == "running"


def test_an_attempt_that_was_interrupted_gives_way_to_a_discard(coming: Coming) -> None:
    coming.claim()
    coming.arrive()
    assert claims(coming.bed, data="discard")["left_over"]
    assert claims(coming.bed, data="discard")["left_over"]  # that one was interrupted too, before it ended anything
    coming.undo(only=["take_over", "export"])
    assert picture(coming.bed) == coming.before
    assert coming.take()[:3] == [coming.placing, "start", "autostart"]
    assert image.inspect(f"{coming.bed.directory}/disk", "qcow2").virtual_bytes == MIB
    assert coming.discard() == ["forget"]


def test_an_attempt_that_started_the_guest_goes_on(coming: Coming) -> None:
    coming.claim()
    coming.arrive()
    coming.take()
    found = coming.claim()
    assert (found["started"], found["left_over"]) == (True, False)
    assert coming.take()[:2] == ["start", "autostart"]  # each looks before it acts
    assert reverting.sizes(coming.bed.journal()) == {"vda": GROWN}


def test_the_proof_of_an_earlier_mirror_is_none_of_the_next(coming: Coming) -> None:
    coming.claim()
    coming.bed.note(Step.TAKE_OVER, "evidence", None, Phase.REVERT)
    coming.bed.carry_out(Step.UNDO, undo.plan, Phase.REVERT)
    coming.claim()
    assert not proof._was_proven(coming.bed.context(Phase.REVERT))


def test_the_old_disks_stay_while_nothing_has_taken_their_place(coming: Coming) -> None:
    coming.claim()
    with pytest.raises(Refused) as refusal:
        discard.plan(coming.bed.context(Phase.REVERT))
    assert refusal.value.code == "GUEST_DISKS_MISSING"
    assert picture(coming.bed) == coming.before


def test_what_is_in_the_way_is_seen_before_anything(coming: Coming) -> None:
    place = Path(coming.migration.parkings[0].place)
    place.touch()
    with pytest.raises(Refused) as refusal:
        claim.plan(coming.bed.context(Phase.REVERT, data="copy_back"))
    assert refusal.value.code == "LEFTOVER_PATHS"
    place.unlink()
    coming.claim()
    coming.arrive()
    place.touch()
    lines = len(coming.bed.journal())
    with pytest.raises(Refused) as refusal:
        coming.take()
    assert refusal.value.code == "PATH_TAKEN"
    assert len(coming.bed.journal()) == lines


def test_what_took_the_name_of_the_old_disks_is_seen_before_anything(coming: Coming) -> None:
    """A revert that discards: refused by its claim, and by its take-over before it announces the rename."""
    parking = coming.migration.parkings[0]
    place = Path(parking.place)
    place.touch()
    with pytest.raises(Refused) as refusal:
        claim.plan(coming.bed.context(Phase.REVERT, data="discard"))
    assert (refusal.value.code, refusal.value.subject) == ("LEFTOVER_PATHS", str(place))
    place.unlink()
    claims(coming.bed, "discard")
    place.touch()
    lines = len(coming.bed.journal())
    with pytest.raises(Refused) as refusal:
        coming.take()
    assert refusal.value.code == "PATH_TAKEN"
    assert len(coming.bed.journal()) == lines
    place.unlink()
    coming.take()
    assert place.exists()
    assert not os.path.lexists(parking.parked)


def test_an_attempt_that_placed_its_disks_is_not_in_the_way_of_the_next(coming: Coming) -> None:
    coming.claim()
    coming.arrive()
    coming.take_until(coming.placing)
    assert coming.claim()["left_over"]


def test_room_is_counted_before_anything(coming: Coming, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "needed_bytes", lambda _weights: 2**60)
    with pytest.raises(Refused) as refusal:
        claim.plan(coming.bed.context(Phase.REVERT, data="copy_back", back={"weights": {coming.bed.directory: 1}}))
    assert refusal.value.code == "COPY_BACK_NO_SPACE"
