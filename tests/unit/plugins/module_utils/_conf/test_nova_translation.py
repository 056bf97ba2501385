# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Old options of nova.conf: what means something today is kept, nothing becomes less safe, and each is told."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._conf import oslo
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.nova_edit import edit
from ansible_collections.kvmops.mobility.tests.recipes import ARTICLE, TUNNELLED


def options(text: str) -> dict[str, str]:
    conf = oslo.parse(text)
    return {
        f"{section}.{name}": conf.get(section, name)[-1]
        for section in dict.fromkeys(one for one, _line in conf.sections)
        for name in conf.names(section)
    }


def test_the_article() -> None:
    done = edit(ARTICLE, {}, (), modernize=True)
    assert options(done.text) == {
        "vnc.server_listen": "0.0.0.0",
        "vnc.server_proxyclient_address": "$my_ip",
        "libvirt.live_migration_scheme": "tcp",
        "libvirt.live_migration_permit_post_copy": "True",
        "libvirt.live_migration_downtime": "500",
    }
    assert [one.split(" ")[0] for one in done.notes] == [
        "[DEFAULT]vncserver_listen",
        "[vnc]vncserver_proxyclient_address",
        "[libvirt]live_migration_uri",
        "[libvirt]live_migration_flag",
        "[libvirt]block_migration_flag",
        "[libvirt]live_migration_progress_timeout",
    ]
    again = edit(done.text, {}, (), modernize=True)
    assert (again.text, again.changes, again.notes) == (done.text, [], ())


def test_what_of_vnc_stands_in_default_moves() -> None:
    """Nova takes it from there to this day, and warns."""
    found = options(edit(TUNNELLED, {}, (), modernize=True).text)
    assert [place for place in found if place.startswith("DEFAULT.")] == ["DEFAULT.my_ip"]
    assert found["vnc.novncproxy_host"] == found["vnc.server_listen"] == "0.0.0.0"
    assert (found["vnc.novncproxy_port"], found["vnc.enabled"]) == ("6080", "True")


def test_only_when_it_is_asked_for() -> None:
    assert edit(ARTICLE, {}, ()).text == ARTICLE


@pytest.mark.parametrize(
    ("text", "settings", "scheme"),
    [
        ("live_migration_scheme = tls\n", {}, "tls"),
        ("", {("libvirt", "live_migration_scheme"): ("ssh",)}, "ssh"),
    ],
)
def test_what_is_said_today_wins(text: str, settings: dict[tuple[str, str], tuple[str, ...]], scheme: str) -> None:
    done = edit(f"{ARTICLE}{text}", settings, (), modernize=True)
    assert options(done.text)["libvirt.live_migration_scheme"] == scheme


@pytest.mark.parametrize("uri", ["qemu+ssh://nova@%s/system?keyfile=/k", "qemu+tls://%s.mig.example.com/system"])
def test_a_uri_that_says_more_stays(uri: str) -> None:
    text = f"[libvirt]\nlive_migration_uri = {uri}\n"
    done = edit(text, {}, (), modernize=True)
    assert (done.text, done.changes) == (text, [])
    assert f"{uri} cannot be said with live_migration_scheme" in done.notes[0]


@pytest.mark.parametrize(
    ("tunnelled", "tls", "stays"),
    [("False", "", False), ("True", "", True), ("yes", "False", True), ("True", "True", False)],
)
def test_nothing_goes_in_the_clear_that_did_not(tunnelled: str, tls: str, stays: bool) -> None:
    text = f"[libvirt]\nlive_migration_tunnelled = {tunnelled}\n"
    text += f"live_migration_with_native_tls = {tls}\n" if tls else ""
    done = edit(text, {}, (), modernize=True)
    assert ("libvirt.live_migration_tunnelled" in options(done.text)) is stays
    assert len(done.notes) == 1


def test_with_tls_asked_for_now_tunnelling_goes() -> None:
    text = "[libvirt]\nlive_migration_tunnelled = True\n"
    done = edit(text, {("libvirt", "live_migration_with_native_tls"): ("True",)}, (), modernize=True)
    assert options(done.text) == {"libvirt.live_migration_with_native_tls": "True"}


def test_tunnelling_by_flag_is_told() -> None:
    done = edit("[libvirt]\nlive_migration_flag = VIR_MIGRATE_LIVE, VIR_MIGRATE_TUNNELLED\n", {}, (), modernize=True)
    assert options(done.text) == {}
    assert "use live_migration_with_native_tls" in done.notes[0]


@pytest.mark.parametrize(("post_copy", "converge", "told"), [("True", "yes", 1), ("True", "no", 0), ("", "True", 0)])
def test_of_post_copy_and_auto_converge_the_first_wins(post_copy: str, converge: str, told: int) -> None:
    text = f"[libvirt]\nlive_migration_permit_auto_converge = {converge}\n"
    text += f"live_migration_permit_post_copy = {post_copy}\n" if post_copy else ""
    notes = edit(text, {}, ()).notes
    assert len(notes) == told
    assert all("Nova uses post-copy then" in one for one in notes)
