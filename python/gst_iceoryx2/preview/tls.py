"""Loads the certificate with which a preview serves HTTPS."""

from __future__ import annotations

import os
import ssl
from typing import NoReturn


def server_context(certificate: str | os.PathLike[str], key: str | os.PathLike[str]) -> ssl.SSLContext:
    """Return the settings of a TLS server.

    Args:
        certificate: PEM file with the certificate, and any intermediate certificates after it.
        key: PEM file with the private key of the certificate.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file contains something else, the key belongs to another certificate, or it is encrypted.
    """
    # `load_cert_chain` does not say which file is the wrong one.
    _check(certificate, "CERTIFICATE")
    _check(key, "PRIVATE KEY")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: _refuse_encrypted(key))
    except ssl.SSLError as exc:
        names = f"the key {os.fspath(key)}", f"the certificate {os.fspath(certificate)}"
        raise ValueError(_explained(exc, *names)) from exc
    return context


def _check(path: str | os.PathLike[str], content: str) -> None:
    with open(path, encoding="latin-1") as file:
        has_content = f"{content}-----" in file.read()
    if not has_content:
        raise ValueError(
            f"{os.fspath(path)} contains no {content.lower()} in PEM format; pass the file with the line "
            f'"-----BEGIN {content}-----"'
        )


def _refuse_encrypted(key: str | os.PathLike[str]) -> NoReturn:
    name = os.fspath(key)
    raise ValueError(f"the key {name} is encrypted; decrypt it with `openssl pkey -in {name} -out new.key`")


def _explained(exc: ssl.SSLError, key: str, certificate: str) -> str:
    if exc.reason == "KEY_VALUES_MISMATCH":
        return f"{key} does not belong to {certificate}; pass the key that the certificate was made with"
    reason = "a file is damaged" if exc.reason is None else exc.reason.replace("_", " ").lower()
    return f"cannot use {certificate} with {key}: {reason}"
