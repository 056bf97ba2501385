#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_resize
short_description: Grow a disk image
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Grows the virtual size of a raw or qcow2 image that nobody uses. It never shrinks one, and does nothing
    when the size is right.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  path:
    description: The image.
    type: path
    required: true
  format:
    description: >-
      Its format, as the definition of its guest says. It is never guessed from the contents, which belong to
      the guest.
    type: str
    required: true
  size_bytes:
    description: The virtual size the guest will see, bytes.
    type: int
    required: true
"""

EXAMPLES = r"""
---
- name: Grow a root disk to 40 GiB
  kvmops.mobility.disk_resize:
    path: /var/lib/libvirt/images/web1/disk
    format: qcow2
    size_bytes: "{{ 40 * 2**30 }}"
"""

RETURN = r"""
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: grow
      does: grow /var/lib/libvirt/images/web1/disk to 42949672960 bytes
      seconds: 0.03
"""

import os

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._disk.directory import holders
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan


def work(context: Context) -> Plan:
    """At most one effect: grow."""
    path, image_format, wanted = (context.params[key] for key in ("path", "format", "size_bytes"))
    _check_path(path)
    if not image.plan_growth(path, image_format, wanted):
        return Plan(before={"size_bytes": wanted}, after={"size_bytes": wanted})
    users = holders([path])
    if users:
        raise Refused("DISK_IN_USE", path, f"is open in: {', '.join(users)}.", "Shut its guest off first.")
    grow = Effect("grow", f"grow {path} to {wanted} bytes", lambda: image.grow(path, image_format, wanted))
    before = image.inspect(path, image_format).virtual_bytes
    return Plan((grow,), before={"size_bytes": before}, after={"size_bytes": wanted})


def _check_path(path: str) -> None:
    if not os.path.isfile(path):
        raise Refused("DISK_NOT_A_FILE", path, "is not a file here.", "Give the path of an image file.")


def main() -> None:
    """Entry point."""
    options = {
        "path": {"type": "path", "required": True},
        "format": {"type": "str", "required": True},
        "size_bytes": {"type": "int", "required": True},
    }
    run(Spec(options=options, libvirt=False), work)


if __name__ == "__main__":
    main()
