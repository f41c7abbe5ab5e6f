"""A certificate and its key, for the service's TCP socket: read, tried, and explained if wrong.

They are tried by a handshake in memory with a client that trusts this very certificate: what
would fail at the first caller fails here, before anything listens.
"""

import ssl
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hwctl.model.errors import ConfigError

_EXPIRED, _NOT_YET = 10, 9
"""X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID, x509_vfy.h of OpenSSL."""
_RENEW = "renew it; or leave `tls_cert` and `tls_key` out to speak plain HTTP"
_READABLE = "the user that hwctl runs as must be able to read it: sudo chgrp hwctl FILE, mode 0640"


def server_context(
    cert: Path, key: Path, *, expired: Callable[[ConfigError], None]
) -> ssl.SSLContext:
    """What a server needs: TLS 1.2 and newer, HTTP/1.1.

    :param cert: PEM: the certificate, then those that lead to its CA, if there are any.
    :param key: PEM, without a passphrase.
    :param expired: told if the certificate has: it serves all the same, for clients look at the
        date themselves, and a rig that starts far from its authority must still be guarded.
    :raises ConfigError: a file cannot be read or used, or they do not fit each other. ``where`` is
        the file.
    """
    for path in (cert, key):
        _check_readable(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # The password function keeps OpenSSL from asking at the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise _explained(cert, key, error) from error
    _try(context, cert, expired)
    return context


def _check_readable(path: Path) -> None:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        if regular:
            path.open("rb").close()
    except FileNotFoundError as error:
        raise ConfigError(
            "does not exist", where=str(path), hint="name a PEM file; in the settings a relative "
            "path begins at their folder",
        ) from error  # fmt: skip
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot be read: {why}", where=str(path), hint=_READABLE) from error
    if not regular:
        raise ConfigError("is no file", where=str(path), hint="name a PEM file")


def _explained(cert: Path, key: Path, error: Exception) -> ConfigError:
    """Which of the two it is: OpenSSL says so only when they do not fit each other."""
    reason = getattr(error, "reason", None) or ""
    if "MISMATCH" in reason:
        return ConfigError(
            f"the key does not belong to the certificate {cert}", where=str(key),
            hint="`openssl x509 -noout -pubkey -in CERT` and `openssl pkey -pubout -in KEY` "
            "print the same for a pair",
        )  # fmt: skip
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cert)
    except ssl.SSLError:
        return ConfigError(
            "is no certificate in PEM", where=str(cert),
            hint="the file begins with -----BEGIN CERTIFICATE-----",
        )  # fmt: skip
    if "KEY_TOO_SMALL" in reason or "MD_TOO_WEAK" in reason:
        return ConfigError(
            f"OpenSSL refuses it as too weak ({reason})", where=str(cert),
            hint="make one with an EC key on P-256, or RSA with 2048 bits or more",
        )  # fmt: skip
    return ConfigError(
        "is no private key in PEM, or has a passphrase", where=str(key),
        hint="`openssl pkey -in KEY -out NEW` takes a passphrase off",
    )  # fmt: skip


def _try(server: ssl.SSLContext, cert: Path, expired: Callable[[ConfigError], None]) -> None:
    """:raises ConfigError: no client can accept it."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(4):  # client and server in turn; TLS 1.3 needs two rounds, 1.2 three
            for side in (near, far):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _NOT_YET:
            return  # a head without a clock of its own may still believe in an earlier year
        said = f"no client would accept it: {error.verify_message}"
        if error.verify_code == _EXPIRED:
            expired(ConfigError(said, where=str(cert), hint=_RENEW))
            return
        raise ConfigError(said, where=str(cert), hint="make one for a server") from error
    except ssl.SSLError as error:
        raise ConfigError(
            f"a handshake with it fails: {error.reason}", where=str(cert), hint="make another one"
        ) from error
