#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_listener
short_description: Let other hypervisors reach libvirt here in one way, however it is run
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Finds out how libvirt is run (RV(layout)), and makes that layout listen for O(transport) and for nothing else. It
    never changes the layout.
  - >-
    V(socket), libvirtd behind systemd's sockets: C(libvirtd-tls.socket) or C(libvirtd-tcp.socket) is on and the other
    one off; C(--listen), which libvirtd refuses there, is taken off its command line; an address or port goes into a
    drop-in, since libvirtd.conf has no say.
  - >-
    V(traditional), sockets masked: all five are masked, C(--listen) is on the command line unless O(transport=ssh), and
    C(--timeout) is not, since nothing would start it again. What it listens for is said in libvirtd.conf.
  - >-
    V(modular), a daemon for each driver, has C(virtproxyd-tls.socket) or C(virtproxyd-tcp.socket) for who comes from
    outside.
  - >-
    Guests run on. When the daemon does not come up so, everything is put back, and it fails with C(LISTENER_FAILED) and
    the daemon's last words. It refuses to restart anything while a migration is under way here.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  transport:
    description: >-
      How other hypervisors get in. V(ssh) needs no listener, so there is none. V(tls) needs certificates that are there
      already, V(tcp) a C(auth_tcp) in libvirtd.conf.
    type: str
    choices: [ssh, tls, tcp]
    required: true
  address:
    description: Address to listen on, for the layouts in which systemd listens; without it, every address.
    type: str
  port:
    description: Port to listen on, for the same; without it libvirt's own, 16514 or 16509.
    type: int
  files:
    description: >-
      Configuration files that the daemon reads when it starts. When one of them changed since, it is started anew.
    type: list
    elements: path
    default: [/etc/libvirt/libvirtd.conf, /etc/libvirt/qemu.conf]
  consent:
    description: >-
      Whether the daemon may be restarted now. Without it nothing is changed, and a warning says what is due.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Listen for TLS
  kvmops.mobility.libvirt_listener:
    transport: tls
    consent: true
"""

RETURN = r"""
layout:
  description: How libvirt is run; V(socket), V(traditional), V(modular), and in check mode V(absent).
  returned: success
  type: str
  sample: socket
orders:
  description: What systemd is told, in order.
  returned: success
  type: list
  elements: str
  sample: [enable libvirtd-tls.socket, stop libvirtd.service, start libvirtd-tls.socket, start libvirtd.service]
due:
  description: Whether something is still to be done afterwards; in check mode, whether it is to be done now.
  returned: success
  type: bool
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: listen
      does: let others in by tls
      seconds: 1.204
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.listening import work
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.transport import Transport
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run


def main() -> None:
    """Entry point."""
    files = ["/etc/libvirt/libvirtd.conf", "/etc/libvirt/qemu.conf"]
    options = {
        "transport": {"type": "str", "choices": [one.value for one in Transport], "required": True},
        "address": {"type": "str"},
        "port": {"type": "int"},
        "files": {"type": "list", "elements": "path", "default": files},
        "consent": {"type": "bool", "default": False},
    }
    run(Spec(options=options, libvirt=False), work)


if __name__ == "__main__":
    main()
