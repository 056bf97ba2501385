# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The effects of a module that replaces a text file: a copy of the old one, when somebody wants it, and the new one.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from ansible_collections.kvmops.mobility.plugins.module_utils._file import text as files
from ansible_collections.kvmops.mobility.plugins.module_utils._file.text import Text
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect


def effects(context: Context, text: Text, data: bytes) -> tuple[Effect, ...]:
    """At most two: back_up, as the parameter backup says and where there is a file, and replace.

    Raises Refused: the code immutable of its kind.
    """
    files.check_writable(text)
    replace = Effect("replace", f"replace {text.real}", lambda: files.write(text, data))
    if text.status is None or not context.params["backup"]:
        return (replace,)
    return Effect("back_up", f"copy {text.real} beside it", lambda: _back_up(text, context)), replace


def _back_up(text: Text, context: Context) -> Mapping[str, str]:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(context.clock()))
    return {"backup_file": files.back_up(text, stamp)}
