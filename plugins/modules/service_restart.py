#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_restart
short_description: Restart a service that runs with older settings than its files have, by consent
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Compares when a service was started with when its files were changed. A handler knows only of the changes of its own
    run; here a restart that was put off once stays due until it has happened.
  - >-
    Without consent nothing is restarted, and a warning names what is due. A service that does not run reads its files
    when it starts, so nothing is due; that holds for one that a socket starts as well.
  - A service that does not come up again, or not for a second, fails with C(SERVICE_FAILED) and its last words.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  unit:
    description: The unit of systemd, such as C(nova-compute.service).
    type: str
    required: true
  files:
    description: What it reads when it starts. Files that are not there are left out.
    type: list
    elements: path
    required: true
  consent:
    description: Whether it may be restarted now.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Let Nova read its settings, one host at a time
  kvmops.mobility.service_restart:
    unit: nova-compute.service
    files: [/etc/nova/nova.conf]
    consent: true
  throttle: 1
"""

RETURN = r"""
unit:
  description: The unit.
  returned: success
  type: str
  sample: nova-compute.service
active:
  description: Whether it runs.
  returned: success
  type: bool
newer:
  description: The files that it has not read yet as they are.
  returned: success
  type: list
  elements: str
  sample: [/etc/nova/nova.conf]
due:
  description: Whether a restart is still due afterwards; in check mode, whether it is due now.
  returned: success
  type: bool
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: restart
      does: restart nova-compute.service
      seconds: 2.104
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.restart import work


def main() -> None:
    """Entry point."""
    options = {
        "unit": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "required": True},
        "consent": {"type": "bool", "default": False},
    }
    run(Spec(options=options, libvirt=False), work)


if __name__ == "__main__":
    main()
