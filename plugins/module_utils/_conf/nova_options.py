# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of nova.conf that decide about moving guests: types, bounds and versions as in nova/conf of 22 to 32.

Held against the Nova 26 and 31 of Debian's packages by tests/e2e/test_nova_judges.py.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.option import Option, Type

_BOOLEAN = Option(Type.BOOLEAN)
_SECONDS = Option(Type.INTEGER)
_HOST = Option(Type.HOST)
_COUNT = Option(Type.INTEGER)
_OLD = (16,)
"""Options that were gone before the oldest release in use; where exactly is of no use to anybody."""


def _gone(type_: Type, until: tuple[int, ...], instead: str = "") -> Option:
    return Option(type_, until=until, instead=instead)


SECTIONS: Mapping[str, Mapping[str, Option]] = {
    "DEFAULT": {
        "allow_resize_to_same_host": _BOOLEAN,
        "live_migration_retry_count": _COUNT,
        "max_concurrent_live_migrations": _COUNT,
        "my_block_storage_ip": _HOST,
        "my_ip": _HOST,
        "resize_confirm_window": _SECONDS,
        "shutdown_timeout": _SECONDS,
        "vif_plugging_is_fatal": _BOOLEAN,
        "vif_plugging_timeout": _SECONDS,
        # The first four moved to [vnc] long ago. Nova takes them from here to this day, and warns.
        "novncproxy_base_url": Option(Type.TEXT, instead="[vnc]novncproxy_base_url"),
        "novncproxy_host": Option(Type.HOST, instead="[vnc]novncproxy_host"),
        "novncproxy_port": Option(Type.INTEGER, least=0, most=65535, instead="[vnc]novncproxy_port"),
        "vnc_enabled": Option(Type.BOOLEAN, instead="[vnc]enabled"),
        "vncserver_listen": _gone(Type.HOST, (25,), "[vnc]server_listen"),
        "vncserver_proxyclient_address": _gone(Type.HOST, (25,), "[vnc]server_proxyclient_address"),
    },
    "compute": {
        "live_migration_wait_for_vif_plug": _BOOLEAN,
        "shutdown_retry_interval": Option(Type.INTEGER, least=1),
    },
    "libvirt": {
        "live_migration_bandwidth": _COUNT,
        "live_migration_completion_timeout": _SECONDS,
        "live_migration_downtime": Option(Type.INTEGER, least=100),
        "live_migration_downtime_delay": Option(Type.INTEGER, least=3),
        "live_migration_downtime_steps": Option(Type.INTEGER, least=3),
        "live_migration_inbound_addr": _HOST,
        "live_migration_parallel_connections": Option(Type.INTEGER, least=1, since=(33,)),
        "live_migration_permit_auto_converge": _BOOLEAN,
        "live_migration_permit_post_copy": _BOOLEAN,
        "live_migration_scheme": Option(Type.TEXT, choices=("ssh", "tcp", "tls")),
        "live_migration_timeout_action": Option(Type.TEXT, choices=("abort", "force_complete")),
        "live_migration_tunnelled": Option(Type.BOOLEAN, instead="live_migration_with_native_tls"),
        "live_migration_uri": Option(Type.TEXT, instead="live_migration_scheme and live_migration_inbound_addr"),
        "live_migration_with_native_tls": _BOOLEAN,
        "migration_inbound_addr": Option(Type.HOST, since=(29,)),
        "remote_filesystem_transport": Option(Type.TEXT, choices=("ssh", "rsync")),
        "block_migration_flag": _gone(Type.TEXT, _OLD),
        "live_migration_flag": _gone(Type.TEXT, _OLD, "live_migration_with_native_tls and live_migration_permit_..."),
        "live_migration_progress_timeout": _gone(Type.INTEGER, (19,), "live_migration_completion_timeout"),
    },
    "vnc": {
        "enabled": _BOOLEAN,
        "novncproxy_base_url": Option(Type.TEXT),
        "novncproxy_host": _HOST,
        "novncproxy_port": Option(Type.INTEGER, least=0, most=65535),
        "server_listen": _HOST,
        "server_proxyclient_address": _HOST,
        "vncserver_listen": _gone(Type.HOST, (25,), "[vnc]server_listen"),
        "vncserver_proxyclient_address": _gone(Type.HOST, (25,), "[vnc]server_proxyclient_address"),
    },
    "workarounds": {
        "enable_qemu_monitor_announce_self": Option(Type.BOOLEAN, since=(24,)),
        "skip_cpu_compare_on_dest": Option(Type.BOOLEAN, since=(25,)),
        "skip_hypervisor_version_check_on_lm": Option(Type.BOOLEAN, since=(25,)),
    },
}
