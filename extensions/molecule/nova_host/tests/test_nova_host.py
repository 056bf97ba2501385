# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role nova_host leaves on a host, read by oslo.config."""

from __future__ import annotations

from io import StringIO
from typing import Any

from oslo_config import iniparser
from oslo_config.cfg import ConfigParser

testinfra_hosts = ["ansible://hypervisors"]
CONF = "/etc/nova/nova.conf"


def options(host: Any) -> dict[str, dict[str, str]]:
    """By section; of several values the last."""
    sections: dict[str, dict[str, list[str]]] = {}
    iniparser.BaseParser.parse(ConfigParser(CONF, sections), StringIO(host.file(CONF).content_string))
    return {section: {name: found[-1] for name, found in known.items()} for section, known in sections.items()}


def test_what_it_says(host: Any) -> None:
    own = host.ansible.get_variables()["ansible_host"]
    assert options(host) == {
        "DEFAULT": {"my_ip": own, "transport_url": "rabbit://nova:hush@192.0.2.1"},
        "vnc": {
            "novncproxy_base_url": "http://192.0.2.100:6080/vnc_auto.html",
            "server_listen": own,
            "server_proxyclient_address": own,
        },
        "libvirt": {
            "live_migration_downtime": "300",
            "live_migration_inbound_addr": own,
            "live_migration_permit_post_copy": "True",
            "live_migration_scheme": "tls",
            "live_migration_with_native_tls": "True",
            "migration_inbound_addr": own,
        },
    }


def test_what_was_there_is_still_there(host: Any) -> None:
    conf = host.file(CONF)
    assert (conf.user, conf.mode) == ("root", 0o640)
    lines = conf.content_string.splitlines()
    assert "# kept" in lines
    assert "#live_migration_uri = qemu+tcp://%s/system" in lines
    # Turned on where its default stood.
    assert lines[lines.index("[libvirt]") + 1] == "live_migration_downtime = 300"


def test_the_service_reads_it(host: Any) -> None:
    shown = host.check_output("systemctl show --value -p ExecMainStartTimestamp --timestamp=unix nova-compute.service")
    assert host.service("nova-compute").is_running
    assert int(shown.strip("@")) >= int(host.check_output(f"stat -c %Y {CONF}"))


def test_a_copy_of_the_old_file_is_kept(host: Any) -> None:
    assert len(host.check_output(f"ls {CONF}.*~").split()) == 2
