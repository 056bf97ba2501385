# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by ssh in the place of a known_hosts file (KnownHostsCommand): it vouches for one fingerprint and no other.

Called as C(FILE WANTED %f %t %K %H). What was offered is appended to FILE, whatever it was. It imports nothing of ours,
because ssh runs it as a program.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import sys

_TOKENS = 6


def answer(wanted: str, fingerprint: str, kind: str, key: str, host: str) -> str:
    """The line that makes ssh believe the key; nothing for any other key."""
    return f"{host} {kind} {key}\n" if fingerprint == wanted.rstrip("=") and key != "NONE" else ""


def main(words: list[str]) -> int:
    """Entry point."""
    if len(words) != _TOKENS:
        return 2
    notes, wanted, fingerprint, kind, key, host = words
    if key != "NONE":  # ssh asks once without a key, which types of keys there are
        with open(notes, "a", encoding="ascii") as handle:
            handle.write(f"{fingerprint} {kind} {key} {host}\n")
    sys.stdout.write(answer(wanted, fingerprint, kind, key, host))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
