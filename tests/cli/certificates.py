"""Certificates for the tests, made by OpenSSL's command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """A certificate and its key, in PEM files."""

    path: Path
    key: Path


def is_possible() -> bool:
    """Whether certificates can be made here."""
    return shutil.which("openssl") is not None


def self_signed(folder: Path, address: str = "127.0.0.1", name: str = "own") -> Certificate:
    """Make a certificate for an IP address. The browser is told to accept it."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-days", "2", "-subj", "/CN=iox2-video test", "-addext", f"subjectAltName=IP:{address}"]
    subprocess.run([*command, "-keyout", made.key, "-out", made.path], check=True, capture_output=True)
    return made


def encrypted(certificate: Certificate) -> Path:
    """Return a copy of the key that needs a pass phrase."""
    path = certificate.key.with_suffix(".encrypted")
    command = ["openssl", "pkey", "-in", certificate.key, "-aes256", "-passout", "pass:secret", "-out", path]
    subprocess.run(command, check=True, capture_output=True)
    return path
