"""A service's certificates: whom they are for, until when, what is wrong with them, and the TLS context that has them.

Imported only where TLS is configured: what it needs makes the master larger by 16 MB, which its workers share.
"""

import os
import ssl
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Final

from prefork.config.reading import exit_status, read_regular
from prefork.master.errors import StartError
from prefork.run.expiry import Certificate

try:
    from cryptography import x509
except ModuleNotFoundError:
    problem = "tls_cert: the package cryptography is needed to read certificates; install prefork[tls]"
    raise StartError(os.EX_CONFIG, problem) from None

VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def certificates(paths: Sequence[str], key_paths: Sequence[str]) -> list[Certificate]:
    """Read the certificates; each has its key at the same place of the other list, or in its own file.

    Raises:
        StartError: One can't be read, or is none.
    """
    if not paths:
        raise StartError(os.EX_CONFIG, "tls_key: there is no certificate for it; set tls_cert")
    if len(key_paths) > len(paths):
        raise StartError(os.EX_CONFIG, f"tls_key: {len(key_paths)} keys for {len(paths)} certificates")
    return [_read(path, key_path or path) for path, key_path in zip_longest(paths, key_paths)]


def context(known: Sequence[Certificate], minimum: str) -> ssl.SSLContext:
    """Return the TLS context of a server with these certificates; the first is for clients that ask for none of them.

    Raises:
        StartError: A certificate and its key don't fit together, or the system's OpenSSL refuses one.
    """
    contexts = [_context(each, VERSIONS[minimum]) for each in known]
    by_name = {
        name: found for each, found in zip(reversed(known), reversed(contexts), strict=True) for name in each.names
    }

    def choose(connection: ssl.SSLObject, name: str | None, _default: ssl.SSLContext) -> None:
        if name is not None and (found := chosen(by_name, name)):
            connection.context = found

    contexts[0].sni_callback = choose
    return contexts[0]


def chosen(by_name: Mapping[str, ssl.SSLContext], name: str) -> ssl.SSLContext | None:
    """Return what goes by this name, or by the wildcard for it, which stands for one label (RFC 9525 §6.3)."""
    name = name.lower()
    return by_name.get(name) or by_name.get("*." + name.partition(".")[2])


def _read(path: str, key_path: str) -> Certificate:
    try:
        leaf = x509.load_pem_x509_certificates(read_regular(path))[0]
        read_regular(key_path)
    except OSError as error:
        key = "tls_cert" if error.filename == path else "tls_key"
        raise StartError(exit_status(error), f"{key}: {error.filename}: can't be read: {error.strerror}") from error
    except ValueError as error:
        raise StartError(os.EX_CONFIG, f"tls_cert: {path}: holds no certificate in PEM") from error
    return Certificate(path, key_path, _names(leaf), leaf.not_valid_after_utc.timestamp())


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # or one that can't be understood
        return ()
    addresses = (str(each) for each in names.get_values_for_type(x509.IPAddress))
    return (*(each.lower() for each in names.get_values_for_type(x509.DNSName)), *addresses)


def _context(certificate: Certificate, minimum: ssl.TLSVersion) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = minimum
    made.options |= ssl.OP_NO_RENEGOTIATION
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(certificate.path, certificate.key_path, password=_no_password)
    except ssl.SSLError as error:
        raise StartError(os.EX_CONFIG, f"tls_key: {certificate.key_path}: {_fault(certificate, error)}") from None
    return made


def _no_password() -> str:
    """Return what opens no key: an encrypted one would have OpenSSL ask the terminal."""
    return ""


def _fault(certificate: Certificate, error: ssl.SSLError) -> str:
    match error.reason or "PEM_LIB":  # None for some faults of PEM
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
            return f"isn't the key of {certificate.path}"
        case "NO_START_LINE" | "PEM_LIB":
            hint = "; set tls_key" if certificate.key_path == certificate.path else ""
            return f"holds no key in PEM, or one that is encrypted{hint}"
        case reason:
            return f"{reason.lower().replace('_', ' ')}, says OpenSSL of it with {certificate.path}"
