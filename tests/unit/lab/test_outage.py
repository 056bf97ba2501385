# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a guest stood still, out of what was seen of it."""

from __future__ import annotations

import pytest
from kvmlab.outage import BEGUN, DONE, LATE, REFUSED, TICK, Sighting, measure, parse_said, read


def ticks(first: float, last: float, host: str = "c1", boot: str = "aa") -> list[Sighting]:
    """A tick each tenth of a second."""
    count = round((last - first) * 10) + 1
    return [Sighting(first + number / 10, host, TICK, boot, number) for number in range(count)]


def write(began: float, ended: float | None, number: int, boot: str = "aa") -> list[Sighting]:
    back = [] if ended is None else [Sighting(ended, "c1", DONE, boot, number)]
    return [Sighting(began, "c1", BEGUN, boot, number), *back]


def test_the_gap_of_a_move_spans_both_hosts() -> None:
    outage = measure([*ticks(100, 110), *ticks(125, 130, "c2", "bb")], now=130.1)
    assert outage.longest_gap_s == pytest.approx(15)
    assert (outage.began, outage.began_on, outage.ended, outage.ended_on) == (110, "c1", 125, "c2")
    assert (outage.ticks, outage.boots) == (152, 2)


def test_a_gap_that_lasts_has_no_end() -> None:
    outage = measure(ticks(100, 110), now=170)
    assert outage.longest_gap_s == pytest.approx(60)
    assert (outage.began, outage.ended, outage.ended_on) == (110, None, None)


def test_since_leaves_out_what_had_ended_and_keeps_what_had_begun() -> None:
    seen = [*ticks(100, 110), *ticks(125, 130), *ticks(133, 140)]
    assert measure(seen, now=140, since=126).longest_gap_s == pytest.approx(3)
    assert measure(seen, now=140, since=120).longest_gap_s == pytest.approx(15)
    assert measure(seen, now=140, since=136).longest_gap_s == pytest.approx(0.1)


def test_nothing_seen_is_no_gap() -> None:
    outage = measure([], now=5)
    assert (outage.longest_gap_s, outage.ticks, outage.longest_fsync_s) == (None, 0, None)


def test_the_longest_fsync_and_the_last_number() -> None:
    outage = measure([*write(1, 1.2, 5), *write(2, 2.9, 6), *write(3, 3.1, 7)], now=4)
    assert outage.longest_fsync_s == pytest.approx(0.9)
    assert (outage.longest_fsync_at, outage.acknowledged, outage.rewritten) == (2, 7, [])
    assert measure([*write(1, 1.9, 5), *write(3, 3.1, 6)], now=4, since=2).longest_fsync_s == pytest.approx(0.1)


def test_an_fsync_that_hangs_counts_as_long_as_the_guest_ticks() -> None:
    seen = [*write(100, None, 5), *ticks(100, 108)]
    assert measure(seen, now=200).longest_fsync_s == pytest.approx(8)
    assert measure([*seen, *ticks(150, 160, boot="bb")], now=160).longest_fsync_s is None


def test_a_write_that_is_refused_takes_until_it_succeeds() -> None:
    seen = [Sighting(1, "c1", BEGUN, "aa", 5), Sighting(2, "c1", REFUSED, "aa", 5), Sighting(4, "c1", DONE, "aa", 5)]
    outage = measure(seen, now=5)
    assert (outage.refused, outage.acknowledged) == (1, 5)
    assert outage.longest_fsync_s == pytest.approx(3)


def test_a_boot_that_did_not_find_the_last_record_is_told() -> None:
    seen = [*write(1, 2, 5), *write(3, None, 6), *write(9, 9.1, 6, "bb")]
    assert measure(seen, now=10).rewritten == []
    lost = measure([*seen, *write(20, 20.1, 6, "cc"), *write(21, 21.1, 7, "cc")], now=22)
    assert lost.rewritten == ["record 6 was written anew on c1 after 6"]
    assert lost.acknowledged == 7


def test_the_watchers_own_pause_is_told() -> None:
    assert measure([*ticks(1, 2), Sighting(2.5, "-", LATE, "-", 450)], now=3).watcher_late_s == pytest.approx(0.45)


def test_a_log_as_it_is_read_back() -> None:
    sighting = Sighting(12.5, "c1", TICK, "aa", 7)
    assert list(read([f"{sighting}\n", "13.0 c1 t a"])) == [sighting]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("KVMLAB t 5f49c6b6 100\r", (TICK, "5f49c6b6", 100)),
        ("KVMLAB d 5f49c6b6 1000000001\r", (DONE, "5f49c6b6", 1_000_000_001)),
        ("KVMLAB tick 10 1795287664\r", None),
        ("KVMLAB t 5f49c6b6 1x", None),
        ("KVMLAB t 5f495f49c6b6 100\r", None),  # half of a line, and of another one that came later
        ("KVMLAB t 49c6b6 100\r", None),
        ("KVMLAB up vcpus=1 memory_mib=256", None),
    ],
)
def test_what_the_console_says(text: str, said: tuple[str, str, int] | None) -> None:
    assert parse_said(text) == said
