# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the selftest of the fault bench takes out is still there to be taken out."""

from __future__ import annotations

import pytest
from kvmfaults.cases import parse
from kvmfaults.controller import REPOSITORY
from kvmfaults.selftest import SABOTAGES, Sabotage


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=[one.what for one in SABOTAGES])
def test_it_is_there_once(sabotage: Sabotage) -> None:
    assert (REPOSITORY / sabotage.file).read_text(encoding="utf-8").count(sabotage.old) == 1
    assert parse(sabotage.case).id == sabotage.case
