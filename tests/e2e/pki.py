# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates on the lab's hosts, where QEMU looks for them."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.kvmops.mobility.tests.e2e import lab

DIRECTORY = "/etc/pki/qemu"


def install(host: str, made: Path) -> None:
    """What an operator's own tool would put there, with QEMU's names."""
    lab.shell(host, f"install -d -m 0755 {DIRECTORY}")
    for role in ("server", "client"):
        for kind in ("cert", "key"):
            text = (made / f"{kind}.pem").read_text()
            name = f"{DIRECTORY}/{role}-{kind}.pem"
            lab.run("ssh", host, f"umask 077; cat > {name}; chgrp libvirt-qemu {name}; chmod g+r {name}", stdin=text)
    lab.run("ssh", host, f"cat > {DIRECTORY}/ca-cert.pem", stdin=(made / "ca.pem").read_text())


def remove(host: str) -> None:
    """Nothing of them is left."""
    lab.shell(host, f"rm -rf {DIRECTORY}")
