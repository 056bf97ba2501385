# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes sure that the lab is up, and that no test finds what an aborted run left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab


@pytest.fixture(scope="session", autouse=True)
def lab_is_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """The lab's two hosts, without guests of earlier runs of these tests; nothing when no test wants them."""
    if all(test.get_closest_marker("without_lab") for test in request.session.items):
        yield
        return
    if lab.run("status", check=False).returncode != 0:
        lab.run("up", timeout_s=900)
    sweep()
    yield
    sweep()


def sweep() -> None:
    """Remove the guests with the tests' prefix or a hypervisor's name, and the odd ones' leavings."""
    left = [name for name in lab.guests() if name.startswith(lab.PREFIX) or name in lab.HOSTS]
    lab.destroy(*left)
    lab.parallel(lambda host: lab.remote(host, "sweep", lab.PREFIX), lab.HOSTS)
