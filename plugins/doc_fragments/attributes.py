# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module says of itself."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes shared by the modules of the collection."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would do without changing anything.
  diff_mode:
    description: Returns the state before and after in diff mode.
  idempotent:
    description: A second run that finds what the first one made changes nothing.
  action_group:
    description: C(group/kvmops.mobility.mobility) in C(module_defaults) sets defaults for all our modules.
    support: full
    membership:
      - kvmops.mobility.mobility
"""

    CHANGING = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

    ACTING = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: It acts whenever it is called, and a second call does no harm.
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: It only reads.
  diff_mode:
    support: N/A
    details: It only reads.
  idempotent:
    support: N/A
    details: It only reads.
"""
