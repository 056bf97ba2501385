#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: known_hosts_repair
short_description: Make a known_hosts file agree with the true host keys of peers
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Holds a C(known_hosts) file against the true public host keys of a set of peers, under all their names. It takes out
    what contradicts them, for those names only, and adds what is missing. Everything else in the file keeps every byte.
  - >-
    It asks no host for its key: the truth is what is given. Never give it what was read over the network from whatever
    answered.
  - >-
    A peer whose keys are given has those and no others, so a key of a type that is not among them is taken out too.
    Plain names, comma-separated lists and hashed names are treated alike.
  - >-
    Left alone and reported are names with wildcards or negation, duplicates, and lines that ssh cannot read. A peer
    for whose name the file has a C(@cert-authority) line lacks nothing. A C(@revoked) line is never removed; when it
    revokes a key that a peer really has, nothing is changed and the module fails with C(HOST_KEY_REVOKED).
  - >-
    The file is replaced as a whole or not at all, with owner, mode, ACL and SELinux context as before. A link is
    followed when it belongs to root or to the owner of its target, and stays a link.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  path:
    description:
      - >-
        The file. It is made when it is missing, readable by all when its directory is, such as
        C(/etc/ssh/ssh_known_hosts).
      - Give either this or O(user).
    type: path
  user:
    description: The user whose C(~/.ssh/known_hosts) it is. A missing file, and its directory, are made for that user.
    type: str
  peers:
    description: The hosts and the truth about them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What findings call the host, such as its inventory name.
        type: str
        required: true
      names:
        description: >-
          Every host name, IPv4 and IPv6 address under which it is reached. Addresses are brought into the form in which
          ssh writes them.
        type: list
        elements: str
        required: true
      port:
        description: Its port of sshd. Other than V(22), the names in the file are C([name]:port).
        type: int
        default: 22
      keys:
        description: All its public host keys, each as the line of its C(.pub) file.
        type: list
        elements: str
        default: []
      certified:
        description: >-
          Whether a C(@cert-authority) line for its name is enough. V(false) for a host that the authority did not sign:
          its keys are added all the same.
        type: bool
        default: true
  certificate_authorities:
    description: Authorities whose host certificates are to be trusted, as C(@cert-authority) lines.
    type: list
    elements: dict
    default: []
    suboptions:
      patterns:
        description: Host names and patterns for which it may vouch.
        type: list
        elements: str
        required: true
      key:
        description: Its public key, as the line of its C(.pub) file.
        type: str
        required: true
  state:
    description: What is to be done.
    type: str
    choices:
      present: What contradicts is taken out, what is missing is added.
      absent: >-
        The keys of the peers' names are taken out, whatever they are, and the patterns of the authorities from their
        lines.
      audit: Nothing is changed, the findings say what is wrong.
    default: present
  add:
    description: >-
      Add what is missing. V(false) only takes out what contradicts, for files that need no entries but must have no
      wrong ones; what is missing is no finding then.
    type: bool
    default: true
  hash_names:
    description: Hash the names of new entries, as C(HashKnownHosts) of ssh does. Existing ones stay as they are.
    type: bool
    default: false
  backup:
    description: Keep the old file beside the new one.
    type: bool
    default: false
notes:
  - >-
    A hashed name can only be found by computing. For lines with a key of one of the peers that is quick. Each other
    hashed line is held against every name, at 1 to 2 microseconds each, shared out over the host's processors.
seealso:
  - module: ansible.builtin.known_hosts
    description: For one host and one key.
"""

EXAMPLES = r"""
---
- name: Make c1 know c2, which was installed anew
  kvmops.mobility.known_hosts_repair:
    user: nova
    backup: true
    peers:
      - name: c2
        names: [c2, c2.example.com, 192.0.2.12, "2001:db8::12"]
        keys:
          - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL2C9LRVXvv7S2KtDa/vKzo9dnrsl2qiq3Fuj1yzgZW3

- name: Trust the hosts that the authority of the site vouches for
  kvmops.mobility.known_hosts_repair:
    path: /etc/ssh/ssh_known_hosts
    certificate_authorities:
      - patterns: ["*.example.com", "192.0.2.*"]
        key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL2C9LRVXvv7S2KtDa/vKzo9dnrsl2qiq3Fuj1yzgZW3

- name: See what is wrong in root's file, without changing it
  kvmops.mobility.known_hosts_repair:
    user: root
    state: audit
    peers: "{{ peers }}"
  register: audit
"""

RETURN = r"""
path:
  description: The file, with links followed.
  returned: success
  type: str
  sample: /var/lib/nova/.ssh/known_hosts
findings:
  description: What was found before anything was changed, in the order of the file; what is missing comes last.
  returned: success, and when a key is revoked
  type: list
  elements: dict
  contains:
    file:
      description: The file, as it was given.
      type: str
    line:
      description: The line before the repair, V(0) for what is missing.
      type: int
    class:
      description: >-
        V(missing), V(changed), V(duplicate), V(revoked), V(wildcard) (a pattern that contradicts or excludes a peer) or
        V(malformed).
      type: str
    peer:
      description: The peer's name, empty when the finding is about none.
      type: str
    name:
      description: The name in question, as ssh looks for it.
      type: str
    message:
      description: What is wrong.
      type: str
    have_fingerprint:
      description: Fingerprint of the key in the file.
      type: str
    want_fingerprint:
      description: Fingerprint of the true key of that type, else of all true keys.
      type: str
  sample:
    - file: /var/lib/nova/.ssh/known_hosts
      line: 34
      class: changed
      peer: c2
      name: 192.0.2.12
      message: the ecdsa-sha2-nistp256 key here is not one of the peer's.
      have_fingerprint: SHA256:SvqQPVRjJ1uzWyXTSQxKtYKHPWVp3oCUBpHb3gmCPtY
      want_fingerprint: SHA256:uL1oyZBGwEXAF7ccVr3rfBMxrKQ8wzY3TcmkbbuvaQA
backup_file:
  description: The copy of the old file.
  returned: changed and O(backup=true)
  type: str
  sample: /var/lib/nova/.ssh/known_hosts.20260704T102006.1f3a~
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: replace
      does: replace /var/lib/nova/.ssh/known_hosts
      seconds: 0.002
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.repair import work


def main() -> None:
    """Entry point."""
    peer = {
        "name": {"type": "str", "required": True},
        "names": {"type": "list", "elements": "str", "required": True},
        "port": {"type": "int", "default": 22},
        "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "certified": {"type": "bool", "default": True},
    }
    authority = {
        "patterns": {"type": "list", "elements": "str", "required": True},
        "key": {"type": "str", "required": True, "no_log": False},
    }
    options = {
        "path": {"type": "path"},
        "user": {"type": "str"},
        "peers": {"type": "list", "elements": "dict", "default": [], "options": peer},
        "certificate_authorities": {"type": "list", "elements": "dict", "default": [], "options": authority},
        "state": {"type": "str", "choices": ["present", "absent", "audit"], "default": "present"},
        "add": {"type": "bool", "default": True},
        "hash_names": {"type": "bool", "default": False},
        "backup": {"type": "bool", "default": False},
    }
    one = (("path", "user"),)
    run(Spec(options=options, libvirt=False, required_one_of=one, mutually_exclusive=one), work)


if __name__ == "__main__":
    main()
