# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_lock)."""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import StepAction


class ActionModule(StepAction):
    """See the base class."""

    DEADLINE_S = 60
    LABEL = "taking the lock"
