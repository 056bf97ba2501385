# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs a certificate that ended yesterday: expired.py AUTHORITY NAME DIRECTORY writes cert.pem and key.pem there."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.plugin_utils._pki import Authority


def main(authority: str, name: str, directory: str) -> None:
    """As the role would have had it signed a month ago, for too short a time."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=30)
    pair = Authority(authority).sign(name, [name], then, 29)
    where = Path(directory)
    where.mkdir(mode=0o700, exist_ok=True)
    for part, text in (("cert", pair.certificate), ("key", pair.key)):
        (where / f"{part}.pem").write_text(text, encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
