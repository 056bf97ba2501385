# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What any guest may be seen to write, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

MIB = 2**20
BYTES = st.integers(0, 4096).map(lambda one: one * MIB // 4)
WINDOWS = st.lists(st.tuples(st.sampled_from((0.1, 0.2, 0.5, 1.0, 2.0, 5.0)), BYTES), min_size=1, max_size=8)
"""Seconds, and the bytes that were new in them."""
