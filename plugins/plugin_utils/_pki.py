# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of libvirt's and QEMU's TLS. Its private key is on the controller, and never leaves it.

A host's certificate is for its name in the inventory (C(CN=c1), which libvirt's list of allowed peers names) and for
all names and addresses by which others reach it; it serves both ends of a connection.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import write_durably
from ansible_collections.kvmops.mobility.plugins.plugin_utils._signer import Signer

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

_BACKDATED = datetime.timedelta(minutes=5)
"""Clocks differ a little."""
_CA_DAYS = 3650
_DAY_S = 86400


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM."""

    certificate: str
    key: str


def check_library() -> None:
    """Raises MobilityError(CRYPTOGRAPHY_MISSING)."""
    if not HAS_CRYPTOGRAPHY or not hasattr(x509.Certificate, "not_valid_after_utc"):
        raise MobilityError(
            "CRYPTOGRAPHY_MISSING",
            "the controller",
            "has no Python library cryptography of version 42 or later, which makes and reads certificates.",
            "Install it where Ansible runs: pip install 'cryptography>=42'.",
        )


@dataclass(frozen=True)
class Authority(Signer):
    """Signs certificates of TLS; its own is beside its key, in C(PATH.pem)."""

    def make(self, now: datetime.datetime) -> None:
        """Make it, readable by this user alone; valid for ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kvmops.mobility certificate authority")])
        usage = _usage(key_cert_sign=True, crl_sign=True)
        certificate = (
            _builder(name, name, key.public_key(), now, _CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        # The key last: who is killed in between has made none, and the next one makes both.
        write_durably(Path(f"{self.path}.pem"), certificate.public_bytes(serialization.Encoding.PEM))
        write_durably(Path(self.path), _private(key, self.passphrase).encode("ascii"))

    def certificate(self) -> str:
        """Its own certificate, as PEM. Raises Refused(TLS_CA_UNUSABLE)."""
        try:
            with open(f"{self.path}.pem", encoding="ascii") as handle:
                return handle.read()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(f"its certificate cannot be read: {error}.") from None

    def sign(self, host: str, names: Sequence[str], now: datetime.datetime, days: int) -> Pair:
        """A new key and its certificate. Raises Refused(TLS_CA_UNUSABLE)."""
        signer, issuer = self._key(), x509.load_pem_x509_certificate(self.certificate().encode("ascii"))
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(subject, issuer.subject, key.public_key(), now, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )
        return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"), _private(key, ""))

    def _key(self) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
        try:
            with open(self.path, "rb") as handle:
                key = serialization.load_pem_private_key(handle.read(), self.passphrase.encode() or None)
        except (OSError, ValueError, TypeError) as error:
            raise self._unusable(f"its private key cannot be read: {error}.") from None
        if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise self._unusable("its private key is neither of ECDSA nor of RSA.")
        return key

    def _unusable(self, why: str) -> Refused:
        return Refused(
            "TLS_CA_UNUSABLE",
            self.path,
            f"the certificate authority cannot sign: {why}",
            "See libvirt_host_ca_key and libvirt_host_ca_passphrase.",
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in names})


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey, passphrase: str) -> str:
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        protection = serialization.BestAvailableEncryption(passphrase.encode())
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, protection).decode("ascii")


@dataclass(frozen=True)
class Judged:
    """A certificate held against what it should be."""

    why_not: str
    """Why it will not do; empty when it will."""
    days_left: int = 0
    subject: str = ""
    """As libvirt compares it, such as C(CN=c1)."""


def judge(
    certificate: str, authority: str, names: Sequence[str], now: datetime.datetime, renew_before_days: int
) -> Judged:
    """A certificate against the authority that should have signed it and the *names* that it should be for."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        return Judged("there is none" if not certificate.strip() else "it cannot be read")
    left = int((found.not_valid_after_utc - now).total_seconds() // _DAY_S)
    subject = found.subject.rfc4514_string()
    missing = [one for one in names if _general(one) not in _alternative_names(found)]
    if not _signed_by(found, authority):
        why = "another authority signed it"
    elif found.not_valid_after_utc <= now:
        why = f"it ended on {found.not_valid_after_utc:%Y-%m-%d}"
    elif missing:
        why = f"it is not for {', '.join(missing)}"
    else:
        why = f"it ends in {left} days" if left < renew_before_days else ""
    return Judged(why, left, subject)


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _signed_by(certificate: x509.Certificate, authority: str) -> bool:
    """By any of the certificates in a PEM file of them."""
    for one in x509.load_pem_x509_certificates(authority.encode()):
        try:
            certificate.verify_directly_issued_by(one)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def belongs(certificate: str, key: str) -> bool:
    """Whether it is the certificate of that private key."""
    try:
        held = serialization.load_pem_private_key(key.encode(), None)
        found = x509.load_pem_x509_certificate(certificate.encode())
    except (ValueError, TypeError):
        return False
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return held.public_key().public_bytes(*form) == found.public_key().public_bytes(*form)
