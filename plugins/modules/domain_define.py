#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_define
short_description: Change the stored definition of a guest, or remove it
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Makes a new definition from the old one and a set of changes, and nothing else: what libvirt stored is
    compared with what it stores, in canonical form, and only the changed paths may differ.
  - A running guest keeps its running definition until its next start.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
options:
  name:
    description: Name or UUID of the guest.
    type: str
    required: true
  state:
    description: Whether the guest is defined.
    type: str
    choices:
      present: It is, with the changes asked for.
      absent: It is not. A guest that runs is refused.
    default: present
  xml:
    description: Start from this definition instead of the stored one; needed when the guest is not defined here yet.
    type: str
  vcpus:
    description: Number of virtual CPUs. The topology follows.
    type: int
  memory_mib:
    description: Memory, MiB; the current memory becomes the same.
    type: int
  paths:
    description: >-
      Old path to new path, for images and files of character devices; a directory stands for all that is in
      it.
    type: dict
    default: {}
  listen:
    description: Old listen address to new listen address, for graphics and character devices.
    type: dict
    default: {}
  nvram:
    description: What O(state=absent) does with the NVRAM file.
    type: str
    choices: [keep, remove]
    default: keep
  tpm:
    description: What O(state=absent) does with the state of an emulated TPM. libvirt before 8.9.0 always removes it.
    type: str
    choices: [keep, remove]
    default: keep
  managed_save:
    description: What O(state=absent) does with a managed save image; libvirt cannot keep one without its guest.
    type: str
    choices: [refuse, remove]
    default: refuse
"""

EXAMPLES = r"""
---
- name: Give a guest four CPUs and eight GiB at its next start
  kvmops.mobility.domain_define:
    name: web1
    vcpus: 4
    memory_mib: 8192

- name: Forget a guest, keep its NVRAM
  kvmops.mobility.domain_define:
    name: web1
    state: absent
"""

RETURN = r"""
changed_xpaths:
  description: Where the new definition differs from the old one.
  returned: O(state=present)
  type: list
  elements: str
  sample: [/domain/vcpu]

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: define
      does: define web1
      seconds: 0.01
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import (
    DefinitionChange,
    apply_changes,
    changed_xpaths,
    verify_only,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan


def work(context: Context) -> Plan:
    """At most one effect: define or undefine."""
    domain = context.hypervisor.look_up(context.params["name"])
    if context.params["state"] == "absent":
        return Plan() if domain is None else _plan_absent(context, domain)
    return _plan_present(context, domain)


def _plan_present(context: Context, domain: Domain | None) -> Plan:
    params = context.params
    if domain is None and not params["xml"]:
        context.hypervisor.named(params["name"])  # raises, and names what is missing
    stored = domain.xml() if domain is not None else ""
    base = params["xml"] or (domain.xml(secure=True) if domain is not None else "")
    change = DefinitionChange(params["vcpus"], params["memory_mib"], params["paths"], params["listen"])
    new = apply_changes(base, change)
    verify_only(base, new, change)
    before = stored or base
    shown = apply_changes(params["xml"] or stored, change)
    differing = changed_xpaths(before, shown)
    define = Effect("define", f"define {params['name']}", lambda: _define(context, new))
    effects = (define,) if differing or domain is None else ()
    return Plan(effects, result={"changed_xpaths": list(differing)}, before=stored, after=shown)


def _define(context: Context, xml: str) -> None:
    context.hypervisor.define(xml)


def _plan_absent(context: Context, domain: Domain) -> Plan:
    if not domain.is_off():
        raise Refused(
            "WRONG_STATE", domain.name, f"is {domain.state()}.", "Shut it off first; a running guest is not undefined."
        )
    keep_managed_save = context.params["managed_save"] == "refuse"
    if keep_managed_save and domain.has_managed_save():
        raise Refused(
            "MANAGED_SAVE",
            domain.name,
            "has a managed save image, which libvirt cannot keep without the guest.",
            "Start and shut it down first, or give managed_save=remove.",
        )

    def undefine() -> None:
        domain.undefine(
            keep_nvram=context.params["nvram"] == "keep",
            keep_tpm=context.params["tpm"] == "keep",
            remove_managed_save=not keep_managed_save,
        )

    effect = Effect("undefine", f"undefine {domain.name}", undefine)
    return Plan((effect,), before=domain.xml(), after="")


def main() -> None:
    """Entry point."""
    keep_or_remove = {"type": "str", "choices": ["keep", "remove"], "default": "keep"}
    options = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "xml": {"type": "str"},
        "vcpus": {"type": "int"},
        "memory_mib": {"type": "int"},
        "paths": {"type": "dict", "default": {}},
        "listen": {"type": "dict", "default": {}},
        "nvram": keep_or_remove,
        "tpm": keep_or_remove,
        "managed_save": {"type": "str", "choices": ["refuse", "remove"], "default": "refuse"},
    }
    run(Spec(options=options), work)


if __name__ == "__main__":
    main()
