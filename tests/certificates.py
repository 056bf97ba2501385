# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorities and certificates for tests, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def _openssl(*words: str) -> None:
    subprocess.run(("openssl", *words), check=True, capture_output=True)


def _new_key(path: Path) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path))


class Authority:
    """Signs certificates; its own is C(ca.pem) in its directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.certificate, self._key = directory / "ca.pem", directory / "ca-key.pem"
        subject = ("-subj", f"/CN={directory.name}", "-days", "2", "-out", str(self.certificate))
        _openssl("req", "-x509", *_new_key(self._key), *subject)

    def sign(self, directory: Path, *names: str) -> Path:
        """A directory with C(ca.pem), C(cert.pem) and C(key.pem) for *names*, as openssl spells them (DNS:, IP:)."""
        directory.mkdir()
        (directory / "ca.pem").write_bytes(self.certificate.read_bytes())
        request, extensions = directory / "request.pem", directory / "extensions"
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        _openssl("req", "-new", *_new_key(directory / "key.pem"), "-subj", "/CN=ignored", "-out", str(request))
        signer = ("-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial", "-days", "2")
        made = ("-extfile", str(extensions), "-out", str(directory / "cert.pem"))
        _openssl("x509", "-req", "-in", str(request), *signer, *made)
        return directory
