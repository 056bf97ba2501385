# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a case, done to whom it happens."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from .case import Fault
from .controller import Controller
from .stage import Stage


@dataclass(frozen=True)
class Scene:
    """Who is there when it happens."""

    stage: Stage
    controller: Controller
    host: str
    """Of the journal's line."""
    pid: int
    """Of the module that wrote it, by the host's number."""
    migration: str
    source: str
    destination: str
    processes: Callable[[], Set[str]]
    """The guest's QEMU processes, by the machine's numbers."""
    abort: Callable[[], object]
    """An operator somewhere else gives the migration up."""
    retune: Callable[[], object]
    """An operator somewhere else allows it less."""


def hurt(scene: Scene, fault: Fault) -> None:
    """Do it. Raises LabError when there was nothing to do it to."""
    stage, source, destination = scene.stage, scene.source, scene.destination
    deeds: Mapping[Fault, Callable[[], object]] = {
        Fault.CONTROLLER: scene.controller.kill,
        Fault.MODULE: lambda: stage.signal(scene.host, scene.pid, signal.SIGKILL),
        Fault.SSH: scene.controller.cut_ssh,
        Fault.LINK: lambda: stage.cut(scene.host, None),
        Fault.LINK_10S: lambda: stage.cut(scene.host, 10),
        Fault.DEST_LINK: lambda: stage.cut(destination, None),
        Fault.DEST_LINK_10S: lambda: stage.cut(destination, 10),
        Fault.DEST_POWER: lambda: stage.power_loss(destination),
        Fault.SOURCE_POWER: lambda: stage.power_loss(source),
        Fault.LIBVIRTD: lambda: stage.kill_libvirtd(scene.host),
        Fault.DEST_LIBVIRTD: lambda: stage.kill_libvirtd(destination),
        Fault.DISK_FULL: lambda: stage.fill(destination),
        Fault.REFUSED: lambda: stage.refuse_definitions(destination),
        Fault.ACPI: lambda: None,
        Fault.QEMU: lambda: stage.kill_qemu(scene.processes()),
        Fault.REBOOT: lambda: stage.reset_guest(source),
        Fault.TUNNEL: lambda: stage.kill_tunnel(source, scene.migration),
        Fault.EXPORT: lambda: stage.kill_export(destination, scene.migration),
        Fault.EXPORT_HANGS: lambda: stage.hang_export(destination),
        Fault.CANCEL: lambda: stage.cancel_mirror(source),
        Fault.MONITOR: lambda: stage.kill_monitor(source, scene.migration),
        Fault.ABORT: scene.abort,
        Fault.RETUNE: scene.retune,
        Fault.RETUNE_MONITOR: lambda: _retune_and_kill(scene),
        Fault.NOTHING: lambda: None,
    }
    deeds[fault]()


def _retune_and_kill(scene: Scene) -> None:
    """Whoever goes on has to do by what was told before it began."""
    scene.retune()
    scene.stage.kill_monitor(scene.source, scene.migration)
