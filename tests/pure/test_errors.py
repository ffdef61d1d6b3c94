"""The errors of the package."""

from __future__ import annotations

import pytest

from gst_iceoryx2 import errors


def test_every_error_can_be_caught_by_its_public_name() -> None:
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(errors.__all__) == classes
    assert all(issubclass(getattr(errors, name), errors.Iox2VideoError) for name in classes)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://ada:s3cret@cam/1", "rtsp://***@cam/1"),
        ("rtsp://ada:s3@cr@et@cam/1", "rtsp://***@cam/1"),
        ("rtsp://ada:s3/cret@cam/1", "rtsp://***@cam/1"),
        ("http://cam/live?user=ada&password=s3cret&channel=1", "http://cam/live?user=ada&password=***&channel=1"),
        ("http://cam/live?token=s3cret", "http://cam/live?token=***"),
        ("rtspsrc user-id=ada user-pw=s3cret ! decodebin", "rtspsrc user-id=ada user-pw=*** ! decodebin"),
        ('rtspsrc user-pw="s3 cret" ! decodebin', "rtspsrc user-pw=*** ! decodebin"),
        ("srtsrc uri=srt://cam:1 passphrase=s3cret", "srtsrc uri=srt://cam:1 passphrase=***"),
        ("rtsp://cam:554/cam@1", "rtsp://cam:554/cam@1"),
        ("rtsp://cam/cam@1", "rtsp://cam/cam@1"),
        ("videotestsrc ! x264enc key-int-max=15", "videotestsrc ! x264enc key-int-max=15"),
    ],
)
def test_passwords_in_addresses_and_launch_lines_are_not_shown(text: str, shown: str) -> None:
    assert errors.without_passwords(text) == shown
