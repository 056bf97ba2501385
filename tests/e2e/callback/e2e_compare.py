# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback plugin of the tests: after a mirrored hand-over, before anything else, both sides' images are compared.

Callbacks run between two tasks, in the controller itself: so the guest is off, nothing has started it elsewhere, and
the run waits until the comparison has ended.
"""

from __future__ import annotations

import json
import os
import posixpath
import subprocess
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: e2e_compare
type: notification
short_description: Compares what a mirror made, for the tests
description: >-
  Appends what qemu-img compare says to the file that E(KVMOPS_E2E_COMPARED) names. E(KVMOPS_E2E_IMAGES) is JSON: by
  hypervisor, where the machine under the lab has what the hypervisor calls /var/lib/libvirt/images.
"""
_IMAGES = "/var/lib/libvirt/images"


class CallbackModule(CallbackBase):
    """Looks from outside."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "e2e_compare"

    def v2_runner_on_ok(self, result: Any) -> None:
        """Compare when it was a hand-over of a guest that was mirrored."""
        handed = result._result
        if "KVMOPS_E2E_COMPARED" not in os.environ or not result._task.action.endswith("domain_hand_over"):
            return
        if not handed.get("mirrored"):
            self._write({"compared": "", "identical": False, "said": f"not mirrored: {handed.get('mirror_lost')}"})
            return
        where = json.loads(os.environ["KVMOPS_E2E_IMAGES"])
        source = handed["ran_on"]
        destination = next(host for host in where if host != source)
        for name in ("disk", "disk1"):
            here = handed["parked"].replace(_IMAGES, where[source]) + f"/{name}"
            there = posixpath.join(handed["copies"][0]["dest"].replace(_IMAGES, where[destination]), name)
            if os.path.exists(here):
                self._compare(here, there)

    def _compare(self, here: str, there: str) -> None:
        argv = ["qemu-img", "compare", "-U", "-f", "qcow2", "-F", "qcow2", here, there]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip()
        self._write({"compared": here, "identical": done.returncode == 0, "said": said})

    def _write(self, line: dict[str, Any]) -> None:
        with open(os.environ["KVMOPS_E2E_COMPARED"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
