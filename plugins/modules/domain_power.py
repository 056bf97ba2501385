#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_power
short_description: Start a guest, shut it down or force it off
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Brings a guest into a power state and waits until it is there. Off means shut off and no process holding a
    disk, not merely shutting down.
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
    description: The power state.
    type: str
    required: true
    choices:
      running: Start it when it is off.
      shut_off: Ask it to shut down, again and again until it does or O(timeout_s) is over.
      forced_off: Pull the plug.
  timeout_s:
    description: How long the guest may take, seconds.
    type: int
    default: 60
  retry_interval_s:
    description: >-
      How often the guest is asked again to shut down, seconds. A guest that boots misses the first request.
    type: int
    default: 10
  on_timeout:
    description: What happens to a guest that does not shut down in time.
    type: str
    choices:
      abort: It goes on, and the module fails with GUEST_DID_NOT_STOP.
      force: The plug is pulled.
    default: abort
"""

EXAMPLES = r"""
---
- name: Shut a guest down, and pull the plug after five minutes
  kvmops.mobility.domain_power:
    name: web1
    state: shut_off
    timeout_s: 300
    on_timeout: force
"""

RETURN = r"""
state:
  description: The state libvirt reports at the end.
  returned: success
  type: str
  sample: shut off
stop_forced:
  description: Whether the plug was pulled.
  returned: when the guest was stopped
  type: bool
stop_requests:
  description: How often the guest was asked.
  returned: when the guest was stopped
  type: int
stop_s:
  description: Seconds until it was off.
  returned: when the guest was stopped
  type: float
start_wait_s:
  description: Seconds from the start until libvirt reported it running.
  returned: when the guest was started
  type: float

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: shut_off
      does: stop web1 (shut_off)
      seconds: 3.2
"""

from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk.directory import holders
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import (
    OnTimeout,
    Stopper,
    StopPolicy,
    wait_running,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan


def work(context: Context) -> Plan:
    """At most one effect: the guest is started or stopped."""
    domain = context.hypervisor.named(context.params["name"])
    before = domain.state()
    wanted = "running" if context.params["state"] == "running" else "shut off"
    effects = () if before == wanted else (_effect(context, domain, before),)
    return Plan(effects, result={"state": wanted}, before={"state": before}, after={"state": wanted})


def _effect(context: Context, domain: Domain, before: str) -> Effect:
    state = context.params["state"]
    if state != "running":
        return Effect(state, f"stop {domain.name} ({state})", lambda: _stop(context, domain))
    if before != "shut off":
        raise Refused(
            "WRONG_STATE",
            domain.name,
            f"is {before}; only a guest that is shut off is started.",
            "Resume it, or force it off first (state=forced_off).",
        )
    return Effect("start", f"start {domain.name}", lambda: _start(context, domain))


def _start(context: Context, domain: Domain) -> dict[str, Any]:
    domain.start()
    waited = wait_running(domain, context.params["timeout_s"], context.monotonic, context.sleep)
    return {"start_wait_s": round(waited, 3)}


def _stop(context: Context, domain: Domain) -> dict[str, Any]:
    disks = [one.path for one in GuestDefinition.from_xml(domain.xml()).disks if one.path and not one.readonly]
    stopper = Stopper(domain, context.monotonic, context.sleep)
    params = context.params
    policy = StopPolicy(params["timeout_s"], params["retry_interval_s"], OnTimeout(params["on_timeout"]))
    stopped = stopper.force() if params["state"] == "forced_off" else stopper.stop(policy)
    stopper.wait_released(lambda: holders(disks))
    return {"stop_forced": stopped.forced, "stop_requests": stopped.requests, "stop_s": round(stopped.seconds, 3)}


def main() -> None:
    """Entry point."""
    options = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "required": True, "choices": ["running", "shut_off", "forced_off"]},
        "timeout_s": {"type": "int", "default": 60},
        "retry_interval_s": {"type": "int", "default": 10},
        "on_timeout": {"type": "str", "choices": ["abort", "force"], "default": "abort"},
    }
    run(Spec(options=options), work)


if __name__ == "__main__":
    main()
