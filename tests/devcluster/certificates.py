"""Certificates of one cluster: a CA for everything, one for the aggregation layer, and the keys of tokens."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devcluster.plan import Plan

VALID = dt.timedelta(days=3650)
LOOPBACK = "127.0.0.1"


class Authority:
    """A certificate authority that lives in a directory as `<name>.crt` and `<name>.key`."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = _new_key()
        self._subject = _subject(f"modelward-{name}", [])
        builder = _builder(self._subject, self._subject, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        _write(directory, name, builder.sign(self._key, hashes.SHA256()), self._key)

    def issue(
        self, name: str, common_name: str, *, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()
    ) -> None:
        """Write `<name>.crt` and `<name>.key`, good for clients and, under `hosts`, for servers."""
        key = _new_key()
        builder = _builder(_subject(common_name, list(groups)), self._subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(both, critical=False)
        # Python 3.13 verifies strictly (RFC 5280, 4.2.1.1): a certificate names the key that signed it.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_alternative_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        _write(self._directory, name, builder.sign(self._key, hashes.SHA256()), key)


def ensure_certificates(plan: Plan) -> Path:
    """Directory with all certificates; they are made together or not at all."""
    directory = plan.directory / "pki"
    if directory.is_dir():
        return directory
    partial = plan.directory / ".pki.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    _write_all(partial, plan)
    partial.rename(directory)
    return directory


def _write_all(directory: Path, plan: Plan) -> None:
    authority = Authority(directory, "ca")
    service = "kubernetes.default.svc"
    names = ("kubernetes", "kubernetes.default", service, f"{service}.cluster.local", "localhost")
    authority.issue(
        "apiserver",
        "kube-apiserver",
        hosts=(*names, LOOPBACK, plan.addresses.host, plan.addresses.api_service),
    )
    authority.issue("kubelet-client", "kube-apiserver-kubelet-client", groups=("system:masters",))
    authority.issue("admin", "admin", groups=("system:masters",))
    authority.issue("controller-manager", "system:kube-controller-manager", hosts=(LOOPBACK,))
    authority.issue("scheduler", "system:kube-scheduler", hosts=(LOOPBACK,))
    authority.issue("kube-proxy", "system:kube-proxy")
    authority.issue(
        "kubelet",
        f"system:node:{plan.node_name}",
        groups=("system:nodes",),
        hosts=(plan.node_name, plan.addresses.node, LOOPBACK),
    )
    Authority(directory, "front-proxy-ca").issue("front-proxy", "front-proxy-client")
    key = _new_key()
    _write_private(directory / "service-accounts.key", key)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (directory / "service-accounts.pub").write_bytes(public)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _subject(common_name: str, groups: list[str]) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + VALID)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(
    directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(directory / f"{name}.key", key)


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
