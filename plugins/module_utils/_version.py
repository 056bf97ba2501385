# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of the collection's code; galaxy.yml and the playbooks' gate name the same.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

VERSION = "0.1.0"
