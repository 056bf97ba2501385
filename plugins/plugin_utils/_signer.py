# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the certificate authorities of SSH and of TLS share: a private key in a file of the controller.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Signer:
    """A key on the controller that signs."""

    path: str
    """Of the private key; what else it needs is beside it, C(PATH.lock) among it."""
    passphrase: str = ""

    def exists(self) -> bool:
        """Whether it was made."""
        return os.path.exists(self.path)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One at a time: every host's certificates are signed by a process of their own."""
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        with open(f"{self.path}.lock", "w", encoding="ascii") as handle:
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX)
            yield
