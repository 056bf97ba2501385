# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that a move calls, by name.

A move calls some fifteen of them, and Ansible packs a module with all that it imports, anew in each run: 0.4 s of the
controller's processor for each. They go as one module therefore, M(kvmops.mobility.migration_step), packed once.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call

_ROOM = __name__.rpartition(".")[0]


def every() -> tuple[ModuleType, ...]:
    """All of them. Ansible packs what it reads here; a call imports its own alone."""
    from ansible_collections.kvmops.mobility.plugins.module_utils._call import (
        disk_copy,
        disk_digest,
        disk_export,
        disk_mirror,
        disk_presync,
        domain_fit_info,
        domain_hand_over,
        domain_info,
        domain_take_over,
        hypervisor_info,
        live_arrive,
        live_control,
        live_depart,
        live_forecast_info,
        live_migrate,
        live_prepare,
        migration_claim,
        migration_discard,
        migration_evidence,
        migration_info,
        migration_lock,
        migration_release,
        migration_survey,
        migration_undo,
        ssh_proof,
        storage_probe,
    )

    return (
        disk_copy,
        disk_digest,
        disk_export,
        disk_mirror,
        disk_presync,
        domain_fit_info,
        domain_hand_over,
        domain_info,
        domain_take_over,
        hypervisor_info,
        live_arrive,
        live_control,
        live_depart,
        live_forecast_info,
        live_migrate,
        live_prepare,
        migration_claim,
        migration_discard,
        migration_evidence,
        migration_info,
        migration_lock,
        migration_release,
        migration_survey,
        migration_undo,
        ssh_proof,
        storage_probe,
    )


NAMES = (
    "disk_copy",
    "disk_digest",
    "disk_export",
    "disk_mirror",
    "disk_presync",
    "domain_fit_info",
    "domain_hand_over",
    "domain_info",
    "domain_take_over",
    "hypervisor_info",
    "live_arrive",
    "live_control",
    "live_depart",
    "live_forecast_info",
    "live_migrate",
    "live_prepare",
    "migration_claim",
    "migration_discard",
    "migration_evidence",
    "migration_info",
    "migration_lock",
    "migration_release",
    "migration_survey",
    "migration_undo",
    "ssh_proof",
    "storage_probe",
)
"""Without the collection's."""


def call(name: str) -> Call:
    """What the module of that name takes and does; *name* is one of NAMES."""
    found: Call = importlib.import_module(f"{_ROOM}.{name}").CALL
    return found
