# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that edit configuration files, see module_utils/_conf/edit.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by libvirt_conf and nova_conf."""

    DOCUMENTATION = r"""
options:
  unmanaged:
    description: >-
      Take options, too, that we do not know, unchecked. Without it they are refused, since most are misspelled ones.
    type: bool
    default: false
  validate:
    description: >-
      A command that judges the new text before the file is replaced, also in check mode; V(%s) in it is the path of a
      file with that text. It is run without a shell. What it held against the old text, too, is only a warning.
    type: str
    default: ""
  backup:
    description: Keep the old file beside the new one.
    type: bool
    default: false
notes:
  - >-
    Differences show only the lines that change, and no values of options whose names say that they are secret. What is
    given to the module is shown by C(-vvv); use C(no_log) on the task for passwords.
"""
