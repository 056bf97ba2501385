# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a file that systemd reads for a service's environment (/etc/default/libvirtd), edited in place. Pure.

Of several assignments the last counts. PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
import shlex

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import ended, ending, lines_of


def get(text: str, name: str) -> str | None:
    """What systemd gives the service for *name*; None when the file does not say."""
    found = [line for line in lines_of(text) if re.match(rf"\s*{re.escape(name)}=", line)]
    if not found:
        return None
    value = found[-1].strip().partition("=")[2]
    try:
        # Quotes as systemd takes them: of a whole word or a part of it.
        return " ".join(shlex.split(value))
    except ValueError:
        return value


def set_to(text: str, name: str, value: str) -> str:
    """The text with *name* as *value*: where it is set last, else where it is commented out last, else at the end."""
    if get(text, name) == value:
        return text
    lines = lines_of(text)
    new = f'{name}="{value}"{ending(text)}'
    for pattern in (rf"\s*{re.escape(name)}=", rf"#\s?{re.escape(name)}="):
        places = [at for at, line in enumerate(lines) if re.match(pattern, line)]
        if places:
            lines[places[-1]] = new
            return "".join(lines)
    return ended(text) + new
