# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of libvirt's own configuration files that decide about migration and who may log in.

From the files that libvirt 9.0 and 11.3 install, and what their readers take.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.option import Option, Type

_FLAG = Option(Type.BOOLEAN)
_TEXT = Option(Type.TEXT)
_PATH = Option(Type.PATH)
_LIST = Option(Type.LIST)
_COUNT = Option(Type.INTEGER)
_PORT = Option(Type.INTEGER, least=1, most=65535)
_SERVICE = Option(Type.TEXT)
"""A port's number or a service's name; libvirt wants both in quotes."""
_PERMISSIONS = Option(Type.TEXT)
_UNIX_AUTH = Option(Type.TEXT, choices=("none", "sasl", "polkit"))
_REMOTE_AUTH = Option(Type.TEXT, choices=("none", "sasl"))

_DAEMON: Mapping[str, Option] = {
    "admin_keepalive_count": _COUNT,
    "admin_keepalive_interval": Option(Type.INTEGER, least=-1),
    "admin_max_client_requests": _COUNT,
    "admin_max_clients": _COUNT,
    "admin_max_workers": _COUNT,
    "admin_min_workers": _COUNT,
    "audit_level": Option(Type.INTEGER, most=2),
    "audit_logging": _FLAG,
    "auth_unix_ro": _UNIX_AUTH,
    "auth_unix_rw": _UNIX_AUTH,
    "host_uuid": _TEXT,
    "host_uuid_source": Option(Type.TEXT, choices=("smbios", "machine-id")),
    "keepalive_count": _COUNT,
    "keepalive_interval": Option(Type.INTEGER, least=-1),
    "log_filters": _TEXT,
    "log_level": Option(Type.INTEGER, least=1, most=4),
    "log_outputs": _TEXT,
    "max_anonymous_clients": _COUNT,
    "max_client_requests": _COUNT,
    "max_clients": _COUNT,
    "max_queued_clients": _COUNT,
    "max_workers": _COUNT,
    "min_workers": _COUNT,
    "ovs_timeout": _COUNT,
    "prio_workers": _COUNT,
    "unix_sock_admin_perms": _PERMISSIONS,
    "unix_sock_dir": _PATH,
    "unix_sock_group": _TEXT,
    "unix_sock_ro_perms": _PERMISSIONS,
    "unix_sock_rw_perms": _PERMISSIONS,
}
_REMOTE: Mapping[str, Option] = {
    "auth_tcp": _REMOTE_AUTH,
    "auth_tls": _REMOTE_AUTH,
    "ca_file": _PATH,
    "cert_file": _PATH,
    "crl_file": _PATH,
    "key_file": _PATH,
    "listen_addr": Option(Type.HOST),
    "listen_tcp": _FLAG,
    "listen_tls": _FLAG,
    "sasl_allowed_username_list": _LIST,
    "tcp_min_ssf": _COUNT,
    "tcp_port": _SERVICE,
    "tls_allowed_dn_list": _LIST,
    "tls_no_sanity_certificate": _FLAG,
    "tls_no_verify_certificate": _FLAG,
    "tls_port": _SERVICE,
    "tls_priority": _TEXT,
}
_QEMU: Mapping[str, Option] = {
    "cgroup_controllers": _LIST,
    "default_tls_x509_cert_dir": _PATH,
    "default_tls_x509_secret_uuid": _TEXT,
    "default_tls_x509_verify": _FLAG,
    "dynamic_ownership": _FLAG,
    "group": _TEXT,
    "keepalive_count": _COUNT,
    "keepalive_interval": Option(Type.INTEGER, least=-1),
    "lock_manager": Option(Type.TEXT, choices=("lockd", "sanlock", "nop")),
    "max_files": _COUNT,
    "max_processes": _COUNT,
    "memory_backing_dir": _PATH,
    "migrate_tls_force": _FLAG,
    "migrate_tls_x509_cert_dir": _PATH,
    "migrate_tls_x509_secret_uuid": _TEXT,
    "migrate_tls_x509_verify": _FLAG,
    "migration_address": Option(Type.HOST),
    "migration_host": Option(Type.HOST),
    "migration_port_max": _PORT,
    "migration_port_min": _PORT,
    "namespaces": _LIST,
    "nbd_tls": _FLAG,
    "nbd_tls_x509_cert_dir": _PATH,
    "nbd_tls_x509_secret_uuid": _TEXT,
    "remember_owner": _FLAG,
    "security_default_confined": _FLAG,
    "security_driver": _TEXT,
    "security_require_confined": _FLAG,
    "set_process_name": _FLAG,
    "shared_filesystems": Option(Type.LIST, since=(10,)),
    "spice_auto_unix_socket": _FLAG,
    "spice_listen": Option(Type.HOST),
    "spice_password": _TEXT,
    "spice_tls": _FLAG,
    "spice_tls_x509_cert_dir": _PATH,
    "user": _TEXT,
    "vnc_allow_host_audio": _FLAG,
    "vnc_auto_unix_socket": _FLAG,
    "vnc_listen": Option(Type.HOST),
    "vnc_password": _TEXT,
    "vnc_sasl": _FLAG,
    "vnc_sasl_dir": _PATH,
    "vnc_tls": _FLAG,
    "vnc_tls_x509_cert_dir": _PATH,
    "vnc_tls_x509_secret_uuid": _TEXT,
    "vnc_tls_x509_verify": _FLAG,
}

FILES: Mapping[str, Mapping[str, Option]] = {
    "libvirtd.conf": {**_DAEMON, **_REMOTE},
    "virtproxyd.conf": {**_DAEMON, **_REMOTE},
    "virtqemud.conf": _DAEMON,
    "qemu.conf": _QEMU,
}
"""By the name of the file."""
