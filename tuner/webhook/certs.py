"""The webhook's own certificate: a CA that signs one server certificate and is then thrown away.

The CA's key is never stored, so nobody can make a second certificate with it. A renewal makes both anew, and
the bundle of CAs keeps the ones before until they end: a server that still shows the old certificate stays
trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_RENEW_AT = 1 / 3  # of the lifetime left
_CLOCKS_APART = timedelta(minutes=5)  # other machines' clocks may be behind


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the server shows and what its clients trust, all PEM.

    Attributes:
        cert: the server's certificate.
        key: its private key (PKCS 8); kept out of every repr.
        ca_bundle: the CA that signed it, first; then earlier ones that have not ended.
    """

    cert: bytes
    key: bytes = field(repr=False)
    ca_bundle: bytes

    @property
    def expires_at(self) -> datetime:
        """When the server's certificate ends (UTC)."""
        return x509.load_pem_x509_certificate(self.cert).not_valid_after_utc


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The names by which an API server and people reach a Service."""
    return (
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc.cluster.local",
    )


def ensured(
    present: Certificates | None, names: Sequence[str], *, now: datetime, lifetime: timedelta
) -> tuple[Certificates, str]:
    """`present` where it is good for `names` for a while yet, else new ones; and why they are new, or "".

    Args:
        present: what is there, however broken.
        names: DNS names and IP addresses of the server; the first becomes the common name.
        now: with a time zone.
        lifetime: of new ones; they are renewed when a third of it is left.
    """
    if present is None:
        return issued(names, now=now, lifetime=lifetime), "there were none"
    if reason := _unfit(present, names, now=now):
        return issued(names, now=now, lifetime=lifetime, trusted=present.ca_bundle), reason
    return present, ""


def issued(names: Sequence[str], *, now: datetime, lifetime: timedelta, trusted: bytes = b"") -> Certificates:
    """A new CA, a certificate of it for `names`, and a bundle with those CAs in `trusted` that still hold."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"tuner webhook CA {now:%Y-%m-%dT%H:%M:%SZ}")]
    )
    span = (now - _CLOCKS_APART, now + lifetime)
    ca = _ca(ca_name, ca_key, span)
    cert = _leaf(names, key, span, ca=ca, ca_key=ca_key)
    pem = serialization.Encoding.PEM
    earlier = [one for one in _loaded(trusted) if one.not_valid_after_utc > now]
    return Certificates(
        cert=cert.public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        ca_bundle=b"".join(one.public_bytes(pem) for one in (ca, *earlier)),
    )


def _ca(
    name: x509.Name, key: ec.EllipticCurvePrivateKey, span: tuple[datetime, datetime]
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(span[0])
        .not_valid_after(span[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    names: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    span: tuple[datetime, datetime],
    *,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    ca_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(span[0])
        .not_valid_after(span[1])
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(ca_id, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _usage(*, key_cert_sign: bool = False, digital_signature: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _loaded(bundle: bytes) -> list[x509.Certificate]:
    """The certificates in `bundle`; none where it is broken."""
    try:
        return x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return []


def _unfit(present: Certificates, names: Sequence[str], *, now: datetime) -> str:
    """Why `present` has to be replaced; "" where it does not."""
    try:
        cert = x509.load_pem_x509_certificate(present.cert)
        key = serialization.load_pem_private_key(present.key, password=None)
        covered = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return "those present do not load"
    if key.public_key() != cert.public_key():
        return "the key is not the certificate's"
    if missing := [name for name in names if _general(name) not in covered]:
        return f"the certificate is not for {', '.join(missing)}"
    if not any(_signed(cert, ca) for ca in _loaded(present.ca_bundle)):
        return "no CA in the bundle signed the certificate"
    begin, end = cert.not_valid_before_utc, cert.not_valid_after_utc
    if end - now < (end - begin) * _RENEW_AT:
        return f"the certificate ends {end:%Y-%m-%d %H:%M} UTC"
    return ""


def _signed(cert: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
