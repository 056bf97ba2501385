# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_conf and nova_conf as Ansible calls them, in this process."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.edit import KIND
from ansible_collections.kvmops.mobility.plugins.module_utils._file import text as files
from ansible_collections.kvmops.mobility.plugins.modules import libvirt_conf, nova_conf

Call = Callable[..., dict[str, Any]]
LIBVIRTD = '# Ports\n#listen_tls = 0\n#tcp_port = "16509"\nmax_clients = 20\n'
NOVA = (
    "[DEFAULT]\ntransport_url = rabbit://nova:hush@mq\n"
    "[libvirt]\n#live_migration_downtime = 500\nlive_migration_uri = x\n"
)


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    (tmp_path / "libvirtd.conf").write_text(LIBVIRTD, encoding="utf-8")
    (tmp_path / "nova.conf").write_text(NOVA, encoding="utf-8")

    def call(module: ModuleType, **params: Any) -> dict[str, Any]:
        name = "nova.conf" if module is nova_conf else "libvirtd.conf"
        given = {"path": str(tmp_path / name), "_ansible_diff": True, **params}
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


def test_libvirt_check_mode_shows_what_the_run_does(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "libvirtd.conf"
    path.chmod(0o640)
    wish = {
        "settings": {"listen_tls": False, "tcp_port": 16600, "tls_allowed_dn_list": ["CN=c1"]},
        "unset": ["max_clients"],
    }
    shown = call(libvirt_conf, _ansible_check_mode=True, **wish)
    assert path.read_text(encoding="utf-8") == LIBVIRTD
    done = call(libvirt_conf, **wish)
    after = '# Ports\nlisten_tls = 0\ntcp_port = "16600"\n#max_clients = 20\ntls_allowed_dn_list = [ "CN=c1" ]\n'
    assert path.read_text(encoding="utf-8") == after
    assert path.stat().st_mode & 0o777 == 0o640
    assert (
        shown["changes"]
        == done["changes"]
        == [
            {"name": "listen_tls", "before": None, "after": 0},
            {"name": "tcp_port", "before": None, "after": "16600"},
            {"name": "tls_allowed_dn_list", "before": None, "after": ["CN=c1"]},
            {"name": "max_clients", "before": 20, "after": None},
        ]
    )
    assert shown["diff"] == done["diff"]
    assert done["diff"]["before"] == '#listen_tls = 0\n#tcp_port = "16509"\nmax_clients = 20\n'
    again = call(libvirt_conf, **wish)
    assert (again["changed"], again["changes"], again["steps"]) == (False, [], [])


def test_nova_check_mode_shows_what_the_run_does(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    wish = {
        "settings": {"libvirt": {"live_migration_downtime": 300, "live_migration_permit_post_copy": True}},
        "unset": {"libvirt": ["live_migration_uri", "live_migration_flag"]},
    }
    shown = call(nova_conf, _ansible_check_mode=True, **wish)
    assert path.read_text(encoding="utf-8") == NOVA
    done = call(nova_conf, **wish)
    assert path.read_text(encoding="utf-8") == (
        "[DEFAULT]\ntransport_url = rabbit://nova:hush@mq\n[libvirt]\nlive_migration_downtime = 300\n"
        "#live_migration_uri = x\nlive_migration_permit_post_copy = True\n"
    )
    assert (
        shown["changes"]
        == done["changes"]
        == [
            {"section": "libvirt", "name": "live_migration_downtime", "before": None, "after": "300"},
            {"section": "libvirt", "name": "live_migration_permit_post_copy", "before": None, "after": "True"},
            {"section": "libvirt", "name": "live_migration_uri", "before": "x", "after": None},
        ]
    )
    assert call(nova_conf, **wish)["changed"] is False


@pytest.mark.parametrize("written", ["true", "True", "1", "yes"])
def test_nova_knows_what_is_said_already(call: Call, tmp_path: Path, written: str) -> None:
    text = f"[libvirt]\nlive_migration_permit_post_copy = {written}\n"
    (tmp_path / "nova.conf").write_text(text, encoding="utf-8")
    assert call(nova_conf, settings={"libvirt": {"live_migration_permit_post_copy": True}})["changed"] is False
    assert (tmp_path / "nova.conf").read_text(encoding="utf-8") == text


def test_what_is_interpolated_is_left_alone(call: Call, tmp_path: Path) -> None:
    (tmp_path / "nova.conf").write_text("[vnc]\nserver_listen = $my_ip\n", encoding="utf-8")
    assert call(nova_conf, settings={"vnc": {"server_listen": "$my_ip"}})["changed"] is False
    assert call(nova_conf, settings={"vnc": {"server_listen": "0.0.0.0"}})["changed"] is True


def test_old_options_become_todays(call: Call, tmp_path: Path) -> None:
    (tmp_path / "nova.conf").write_text("[vnc]\nvncserver_listen = 0.0.0.0\n", encoding="utf-8")
    assert call(nova_conf)["changed"] is False
    done = call(nova_conf, modernize=True)
    assert (tmp_path / "nova.conf").read_text(encoding="utf-8") == (
        "[vnc]\n#vncserver_listen = 0.0.0.0\nserver_listen = 0.0.0.0\n"
    )
    assert done["notes"] == ["[vnc]vncserver_listen is called [vnc]server_listen now."]
    again = call(nova_conf, modernize=True)
    assert (again["changed"], "notes" in again) == (False, False)


def test_several_values(call: Call, tmp_path: Path) -> None:
    wish = {"settings": {"pci": {"alias": ['{"a": 1}', '{"b": 2}']}}}
    assert call(nova_conf, **wish)["code"] == "OPTION_UNKNOWN"
    assert call(nova_conf, unmanaged=True, **wish)["changed"] is True
    assert (
        (tmp_path / "nova.conf").read_text(encoding="utf-8").endswith('\n[pci]\nalias = {"a": 1}\nalias = {"b": 2}\n')
    )
    assert call(nova_conf, unmanaged=True, **wish)["changed"] is False


def test_no_secret_is_shown(call: Call) -> None:
    wish = {"settings": {"DEFAULT": {"transport_url": "rabbit://nova:other@mq"}}, "unmanaged": True}
    done = call(nova_conf, **wish)
    told = json.dumps({key: value for key, value in done.items() if key != "invocation"})
    assert done["changed"] is True
    assert "hush" not in told
    assert "other" not in told
    assert done["diff"]["before"] == "transport_url = ********\n"
    refused = call(libvirt_conf, kind="qemu.conf", settings={"vnc_password": ["open sesame"]})
    assert refused["code"] == "OPTION_VALUE"
    assert "sesame" not in refused["msg"]


@pytest.mark.parametrize(
    ("module", "params", "code", "says"),
    [
        (
            nova_conf,
            {"settings": {"libvirt": {"live_migration_downtime": 10}}},
            "OPTION_VALUE",
            "a whole number from 100",
        ),
        (nova_conf, {"settings": {"libvirt": {"live_migration_downtime": "0.5 s"}}}, "OPTION_VALUE", "a whole number"),
        (
            nova_conf,
            {"settings": {"libvirt": {"live_migration_downtim": 500}}},
            "OPTION_UNKNOWN",
            "live_migration_downtime",
        ),
        (nova_conf, {"settings": {"libvrt": {"live_migration_downtime": 500}}}, "OPTION_UNKNOWN", "[libvrt]"),
        (
            nova_conf,
            {"settings": {"libvirt": {"live_migration_timeout_action": "pause"}}},
            "OPTION_VALUE",
            "force_complete",
        ),
        (
            nova_conf,
            {"settings": {"vnc": {"server_listen": "192.0.2.300"}}},
            "OPTION_VALUE",
            "an IP address or host name",
        ),
        (nova_conf, {"settings": {"vnc": {"enabled": "perhaps"}}}, "OPTION_VALUE", "true or false"),
        (nova_conf, {"settings": {"libvirt": 5}}, "OPTION_VALUE", "options and their values"),
        (nova_conf, {"unset": {"libvirt": "x"}}, "OPTION_VALUE", "a list of names"),
        (nova_conf, {"settings": {"a": {"x": {"y": 1}}}, "unmanaged": True}, "OPTION_VALUE", "a text, a number"),
        (nova_conf, {"settings": {"a": {"x": "1\n\n2"}}, "unmanaged": True}, "OPTION_VALUE", "oslo.config can read"),
        (nova_conf, {"settings": {"a": {"x=y": "1"}}, "unmanaged": True}, "OPTION_VALUE", "as it was"),
        (
            nova_conf,
            {"settings": {"libvirt": {"migration_inbound_addr": "$my_ip"}}, "nova_version": "26.2.2"},
            "OPTION_NOT_HERE",
            "came with Nova 29; here is 26.2.2",
        ),
        (
            nova_conf,
            {"settings": {"vnc": {"vncserver_listen": "0.0.0.0"}}, "nova_version": "31.0.0"},
            "OPTION_NOT_HERE",
            "Use [vnc]server_listen instead",
        ),
        (nova_conf, {"nova_version": "2025.1b"}, "OPTION_VERSION", "numbers with dots"),
        (
            nova_conf,
            {"settings": {"vnc": {"enabled": True}}, "unset": {"vnc": ["enabled"]}},
            "OPTION_TWICE",
            "[vnc]enabled",
        ),
        (libvirt_conf, {"settings": {"listen_tcp": "on and off"}}, "OPTION_VALUE", "true or false"),
        (libvirt_conf, {"settings": {"auth_tcp": "polkit"}}, "OPTION_VALUE", "one of none, sasl"),
        (libvirt_conf, {"settings": {"lissten_tcp": True}}, "OPTION_UNKNOWN", "Is listen_tcp"),
        (libvirt_conf, {"unset": ["lissten_tcp"]}, "OPTION_UNKNOWN", "Is listen_tcp"),
        (libvirt_conf, {"settings": {"tls_allowed_dn_list": "CN=c1"}}, "OPTION_VALUE", "a list of texts"),
        (libvirt_conf, {"settings": {"ca_file": "ca.pem"}}, "OPTION_VALUE", "an absolute path"),
        (libvirt_conf, {"settings": {"x": 1.5}, "unmanaged": True}, "OPTION_VALUE", "a whole number, a text"),
        (libvirt_conf, {"settings": {"x y": 1}, "unmanaged": True}, "OPTION_VALUE", "what libvirt can read"),
        (libvirt_conf, {"settings": {"max_clients": 1}, "unset": ["max_clients"]}, "OPTION_TWICE", "max_clients"),
        (
            libvirt_conf,
            {"kind": "qemu.conf", "settings": {"shared_filesystems": ["/srv"]}, "libvirt_version": "9.0.0"},
            "OPTION_NOT_HERE",
            "here is 9.0.0",
        ),
    ],
)
def test_what_is_refused_changes_nothing(
    call: Call, tmp_path: Path, module: ModuleType, params: dict[str, Any], code: str, says: str
) -> None:
    for check in (True, False):
        refused = call(module, _ansible_check_mode=check, **params)
        assert (refused["failed"], refused["code"]) == (True, code)
        assert says in refused["msg"]
    assert (tmp_path / "libvirtd.conf").read_text(encoding="utf-8") == LIBVIRTD
    assert (tmp_path / "nova.conf").read_text(encoding="utf-8") == NOVA
    assert sorted(os.listdir(tmp_path)) == ["libvirtd.conf", "nova.conf"]


def test_a_file_that_its_reader_cannot_read(call: Call, tmp_path: Path) -> None:
    (tmp_path / "libvirtd.conf").write_text("a = 1\nlisten_tls = no\n", encoding="utf-8")
    refused = call(libvirt_conf, settings={"listen_tls": False})
    assert refused["code"] == "CONF_SYNTAX"
    assert f"{tmp_path}/libvirtd.conf, line 2: a value is expected" in refused["msg"]


def test_files_that_are_no_files(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The care is that of known_hosts, and tested there; the codes are of configuration files."""
    path = tmp_path / "qemu.conf"

    def refused() -> str:
        code: str = call(libvirt_conf, path=str(path), settings={"user": "qemu"})["code"]
        return code

    path.mkdir()
    assert refused() == "CONF_INVALID"
    path.rmdir()
    path.write_bytes(b"#" * (10 * 2**20 + 1))
    assert refused() == "CONF_TOO_LARGE"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert refused() == "CONF_UNSAFE"
    path.unlink()
    path.write_text("", encoding="ascii")
    check = files.check_writable

    def change(text: files.Text) -> None:
        check(text)
        path.write_text("# by somebody else\n", encoding="ascii")

    monkeypatch.setattr(files, "check_writable", change)
    assert refused() == "CONF_BUSY"
    assert (KIND.immutable, KIND.unreadable) == ("CONF_IMMUTABLE", "CONF_UNREADABLE")


def test_which_file_it_is(call: Call, tmp_path: Path) -> None:
    other = tmp_path / "mine.conf"
    refused = call(libvirt_conf, path=str(other), settings={"user": "qemu"})
    assert (refused["code"], other.exists()) == ("CONF_UNKNOWN", False)
    assert call(libvirt_conf, path=str(other), kind="qemu.conf", settings={"user": "qemu"})["changed"] is True
    assert call(libvirt_conf, path=str(other), unmanaged=True, settings={"anything": [1, "x"]})["changed"] is True
    assert other.read_text(encoding="utf-8") == 'user = "qemu"\nanything = [ 1, "x" ]\n'


def test_the_directory_has_to_be_there_but_for_a_dry_run(call: Call, tmp_path: Path) -> None:
    path = str(tmp_path / "libvirt" / "qemu.conf")
    wish = {"path": path, "settings": {"user": "qemu"}}
    shown = call(libvirt_conf, _ansible_check_mode=True, **wish)
    assert (shown["changed"], shown["diff"]["after"]) == (True, 'user = "qemu"\n')
    assert call(libvirt_conf, **wish)["code"] == "CONF_MISSING"
    assert os.listdir(tmp_path / "..") != []
    assert not os.path.exists(os.path.dirname(path))


def test_a_validator_has_the_last_word(call: Call, tmp_path: Path) -> None:
    wish = {"settings": {"libvirt": {"live_migration_downtime": 300}}}
    for check in (True, False):
        refused = call(nova_conf, validate="grep '#live_migration_downtime' %s", _ansible_check_mode=check, **wish)
        assert (refused["code"], (tmp_path / "nova.conf").read_text(encoding="utf-8")) == ("CONF_REFUSED", NOVA)
    assert "grep does not take what it would become" in refused["msg"]
    assert call(nova_conf, validate="true", **wish)["code"] == "CONF_VALIDATE"
    assert call(nova_conf, validate="no-such-program-here %s", **wish)["code"] == "COMMAND_MISSING"
    assert call(nova_conf, validate="grep 'live_migration_downtime = 300' %s", **wish)["changed"] is True


def test_what_a_validator_held_against_the_old_file_too(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    # In a process that has loaded the controller's side, a module's warnings go to the controller's display.
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    done = call(nova_conf, validate="grep of-which-there-is-nothing %s", settings={"vnc": {"enabled": True}})
    assert done["changed"] is True
    assert len(said) == 1
    assert "neither as it is nor as it would become" in said[0]


def test_a_backup_only_when_something_changes(call: Call, tmp_path: Path) -> None:
    wish = {"settings": {"listen_tls": False}, "backup": True}
    kept = call(libvirt_conf, **wish)["backup_file"]
    assert Path(kept).read_text(encoding="utf-8") == LIBVIRTD
    assert re.fullmatch(rf"{tmp_path}/libvirtd\.conf\.\d{{8}}T\d{{6}}\.[0-9a-f]{{4}}~", kept)
    assert "backup_file" not in call(libvirt_conf, **wish)


def test_bytes_that_are_no_text_are_shown_by_their_numbers(call: Call, tmp_path: Path) -> None:
    (tmp_path / "libvirtd.conf").write_bytes(b'listen_addr = "\xe9"\n')
    done = call(libvirt_conf, settings={"listen_addr": "192.0.2.1"})
    assert done["changes"] == [{"name": "listen_addr", "before": "\\xe9", "after": "192.0.2.1"}]
    assert done["diff"]["before"] == 'listen_addr = "\\xe9"\n'


@pytest.mark.parametrize("data", [b"\xff\xfe = 1\n", b"# caf\xe9\nmax_clients = 20\n"])
def test_bytes_that_are_no_text(call: Call, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "libvirtd.conf"
    path.write_bytes(data)
    done = call(libvirt_conf, settings={"max_clients": 30})
    if data.startswith(b"#"):
        assert path.read_bytes() == data.replace(b"20", b"30")
    else:
        assert (done["code"], path.read_bytes()) == ("CONF_SYNTAX", data)
