# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run as C(python3 -m kvmlab), which is what the executable beside this package does."""

from __future__ import annotations

import sys

from kvmlab.cli import main

sys.exit(main(sys.argv[1:]))
