"""`iox2-video view --tls`: the page over HTTPS, and certificates that cannot be used."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gst_iceoryx2.preview import Preview
from tests.cli.certificates import Certificate, encrypted, is_possible, self_signed
from tests.cli.conftest import CommandLine, Paint, Views
from tests.cli.page_client import PageClient, get, metrics
from tests.cli.painter import is_painted
from tests.conftest import Place
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(not is_possible(), reason="needs openssl to make certificates")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1."""
    return self_signed(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trust(own: Certificate) -> ssl.SSLContext:
    """A client that trusts this certificate only."""
    return ssl.create_default_context(cafile=own.path)


def test_the_page_its_metrics_and_its_pictures_come_over_https(
    paint: Paint, view: Views, own: Certificate, trust: ssl.SSLContext
) -> None:
    paint()
    url = view("cam0", "--tls", *map(str, own))
    assert url.startswith("https://127.0.0.1:")
    assert get(url, tls=trust).text.startswith("<!doctype html>")
    with PageClient(url, watch=[0], origin=url.rsplit("/", 2)[0], tls=trust) as client:
        shown = [client.picture() for _ in range(12)]
        assert all(is_painted(one.rgb) for one in shown)
        # Several messages in one record of TLS are all answered.
        client.say_together(*({"clock": number} for number in range(20)))
        answered = set[float]()
        while len(answered) < 20:
            if isinstance(one := client.next(), dict) and "clock" in one:
                answered.add(one["clock"][0])
    wait_until(lambda: metrics(url, tls=trust)["viewers"] == 0)
    assert metrics(url, tls=trust)["frames_invalid_total"] == 0


def test_http_on_the_port_of_https_is_closed_and_shows_nothing(
    domain: Place, own: Certificate, trust: ssl.SSLContext
) -> None:
    with Preview(["cam0"], tls=own) as preview:
        with socket.create_connection(("127.0.0.1", preview.port), 10) as connection:
            connection.sendall(f"GET {urlsplit(preview.url).path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            received = b""
            try:
                while data := connection.recv(1 << 16):
                    received += data
            except ConnectionResetError:
                pass
        assert b"html" not in received
        assert get(preview.url, tls=trust).status == 200


def test_a_client_that_never_ends_its_handshake_keeps_nobody_out(
    domain: Place, own: Certificate, trust: ssl.SSLContext
) -> None:
    with Preview(["cam0"], tls=own) as preview:
        silent = [socket.create_connection(("127.0.0.1", preview.port), 10) for _ in range(150)]
        for each in silent[::2]:
            each.sendall(b"\x16\x03\x01\x02\x00")
        assert get(preview.url, tls=trust).status == 200
        for each in silent:
            each.close()


def test_another_certificate_is_not_trusted(domain: Place, own: Certificate, tmp_path: Path) -> None:
    other = ssl.create_default_context(cafile=self_signed(tmp_path, name="other").path)
    with Preview(["cam0"], tls=own) as preview, pytest.raises(ssl.SSLCertVerificationError):
        get(preview.url, tls=other)


def test_a_certificate_that_cannot_be_used_is_refused_in_one_line(
    iox2_video: CommandLine, own: Certificate, tmp_path: Path
) -> None:
    other, junk, damaged = self_signed(tmp_path, name="other"), tmp_path / "junk", tmp_path / "damaged"
    junk.write_text("hello\n")
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for certificate, key, code, text in (
        (own.path, other.key, 2, f"the key {other.key} does not belong to the certificate {own.path}"),
        (tmp_path / "none", own.key, 1, f"Error: {tmp_path / 'none'}: No such file or directory"),
        (own.path, tmp_path / "none", 1, f"Error: {tmp_path / 'none'}: No such file or directory"),
        (junk, own.key, 2, f"{junk} contains no certificate in PEM format"),
        (own.path, junk, 2, f"{junk} contains no private key in PEM format"),
        (own.key, own.path, 2, f"{own.key} contains no certificate in PEM format"),
        (damaged, own.key, 2, f"cannot use the certificate {damaged}"),
        (own.path, encrypted(own), 2, "is encrypted"),
        (tmp_path, own.key, 2, "is a directory"),
    ):
        done = iox2_video("view", "cam0", "--no-browser", "--tls", str(certificate), str(key))
        assert (done.returncode, text in done.stderr) == (code, True), done.stderr
        assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert iox2_video("view", "cam0", "--tls", str(own.path)).returncode == 2


def test_the_warning_about_other_machines_says_unencrypted_only_without_tls(view: Views, own: Certificate) -> None:
    view("cam0", "--host", "0.0.0.0", "--tls", *map(str, own))
    warning = view.says("Warning: other machines can reach 0.0.0.0")
    assert "can see the video." in warning
    assert "encrypted" not in warning
