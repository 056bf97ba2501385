# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What recipes for live migration on the net put into nova.conf."""

from __future__ import annotations

ARTICLE = """\
[DEFAULT]
vncserver_listen = 0.0.0.0
[vnc]
vncserver_proxyclient_address = $my_ip
[libvirt]
live_migration_uri = qemu+tcp://%s/system
live_migration_flag = VIR_MIGRATE_UNDEFINE_SOURCE,VIR_MIGRATE_PEER2PEER,VIR_MIGRATE_LIVE,VIR_MIGRATE_POSTCOPY
block_migration_flag = VIR_MIGRATE_NON_SHARED_INC
live_migration_progress_timeout = 150
live_migration_downtime = 500
"""
TUNNELLED = """\
[DEFAULT]
my_ip = 192.0.2.7
vnc_enabled = True
novncproxy_base_url = http://192.0.2.100:6080/vnc_auto.html
novncproxy_host = 0.0.0.0
novncproxy_port = 6080
[libvirt]
virt_type = kvm
# turned on, as the recipe says
live_migration_flag="VIR_MIGRATE_UNDEFINE_SOURCE,VIR_MIGRATE_PEER2PEER,VIR_MIGRATE_LIVE,VIR_MIGRATE_TUNNELLED"
live_migration_tunnelled = True
[vnc]
vncserver_listen = 0.0.0.0
vncserver_proxyclient_address=192.0.2.7
"""
