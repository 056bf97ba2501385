# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt import domain as domains
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed
from ansible_collections.kvmops.mobility.tests.unit.driver import Agent, Connection
from ansible_collections.kvmops.mobility.tests.unit.units import Units

# How long an example takes is the machine's business: one that does several things at a time is slow now and then.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

NODE = """<node>
  <cpu><mhz>3000</mhz><model>i986</model><active>4</active><nodes>1</nodes>
    <sockets>1</sockets><cores>4</cores><threads>1</threads></cpu>
  <memory>67108864</memory>
</node>"""


def _ignore(_context: object, _error: object) -> None:
    """libvirt's own handler writes every error to stderr."""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A libvirt of the test's own that has no guest."""
    path = tmp_path / "node.xml"
    path.write_text(NODE, encoding="ascii")
    return f"test://{path}"


@pytest.fixture
def bed(tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    """A hypervisor of the test's own."""
    monkeypatch.setattr(domains, "libvirt_qemu", Agent)
    libvirt.registerErrorHandler(_ignore, None)
    connection = libvirt.open(uri)
    (tmp_path / "images").mkdir()
    yield Bed(tmp_path, Connection(connection))
    connection.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "state"))


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> Units:
    """A systemd of the test's own that has no unit."""
    found = Units()
    monkeypatch.setattr(transient, "run", found.run)
    return found


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Modules set their process's umask; here that is everybody's."""
    before = os.umask(0o022)
    yield
    os.umask(before)
