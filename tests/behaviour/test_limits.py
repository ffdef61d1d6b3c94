"""Limits, settings and errors: the same numbers and the same texts in both SDKs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gst_iceoryx2.contract import limit, message
from gst_iceoryx2.video import create_node, open_video_service
from tests.behaviour.conftest import LANGUAGES, SERVICE, Peer, PeerError, Side
from tests.conftest import Place

# The first test may have to compile the Rust side.
pytestmark = pytest.mark.timeout(600)

WAIT = 60_000


def words(error: PeerError) -> tuple[str, str]:
    """Kind and text; the elements write the names of settings with hyphens."""
    text = error.text
    for setting in ("max-publishers", "max-subscribers", "buffer-size", "borrowed-max", "safe-overflow"):
        text = text.replace(setting, setting.replace("-", "_"))
    return error.kind, text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", message("name_is_empty")),
        ("x" * 256, message("name_is_long", length=256)),
        ("video/käse", message("name_contains", character="ä")),
        ("a\nb", message("name_contains", character="\n")),
        ('é\u202e\x1b\x7f\0\t"\\☃\u2028', message("name_contains", character="é")),
        ("\u202e", r'it contains "\u{202e}"'),
        ("\x1b", r'it contains "\u{1b}"'),
        ("\x7f", r'it contains "\u{7f}"'),
    ],
)
@pytest.mark.parametrize("kind", ["publisher", "subscriber"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_that_cannot_name_a_service_is_refused(
    language: str, kind: str, name: str, reason: str, make_peer: Callable[[str], Peer]
) -> None:
    advice = message("name_advice", most=limit("max_service_name_bytes"))
    text = message("invalid_name", name=name, reason=reason, advice=advice)
    assert words(Side(make_peer(language), kind).refused(name)) == ("InvalidServiceNameError", text)


@pytest.mark.parametrize(
    ("stream", "codec"), [("cam0", "h264"), ("cam 0", "h265"), ("front@left", "av1"), ("cam0@640x640", "h264")]
)
@pytest.mark.parametrize("kind_of_name", ["frame/v2", "packet/v1"])
@pytest.mark.parametrize("kind", ["publisher", "subscriber"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_name_of_an_encoded_stream_is_refused_with_names_that_can_be_used(
    language: str, kind: str, kind_of_name: str, stream: str, codec: str, make_peer: Callable[[str], Peer]
) -> None:
    """A reader of frames would wait forever for packets."""
    name = f"video/{stream}@{codec}/{kind_of_name}"
    reason, advice = message("name_of_packets", codec=codec), message("packets_advice", source=stream)
    text = message("invalid_name", name=name, reason=reason, advice=advice)
    assert words(Side(make_peer(language), kind).refused(name)) == ("InvalidServiceNameError", text)
    assert f'use gst_iceoryx2.packets for packets, or "video/{stream}/frame/v2" for frames' in text


@pytest.mark.parametrize("name", ["video/front@left/frame/v2", "video/cam0@H264/frame/v2", "video/cam0@H264/packet/v1"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_other_names_with_an_at_sign_are_names(language: str, name: str, make_peer: Callable[[str], Peer]) -> None:
    Side(make_peer(language), "subscriber").open(name)


@pytest.mark.proves("M9")
def test_a_second_publisher_is_refused(publisher: Side, reader: Side) -> None:
    """By whichever SDK comes second."""
    publisher.open()
    advice = message("close_publisher", setting="max_publishers")
    text = message("too_many_ports", port="publisher", service=SERVICE, limit=1, advice=advice)
    assert words(Side(reader.peer, "publisher").refused()) == ("TooManyPortsError", text)


@pytest.mark.proves("M9")
def test_as_many_publishers_as_asked_for_are_admitted(publisher: Side, reader: Side) -> None:
    one = publisher.open(max_publishers=2)
    other = Side(reader.peer, "publisher").open(max_publishers=2)
    sub = Side(publisher.peer, "subscriber").open()
    assert one.do("wait_for_subscribers") == 1
    one.do("publish", value=1)
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 1
    other.do("publish", value=2)
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 2


@pytest.mark.proves("M9")
def test_a_subscriber_too_many_is_refused(publisher: Side, reader: Side) -> None:
    publisher.open(max_subscribers=2)
    for _ in range(2):
        reader.open()
    advice = message("close_subscriber", setting="max_subscribers")
    text = message("too_many_ports", port="subscriber", service=SERVICE, limit=2, advice=advice)
    assert words(reader.refused()) == ("TooManyPortsError", text)


@pytest.mark.proves("L1")
@pytest.mark.parametrize(
    ("setting", "exists", "wanted"),
    [("buffer_size", 4, 6), ("borrowed_max", 4, 6), ("max_publishers", 2, 3), ("safe_overflow", False, True)],
)
def test_a_setting_that_the_service_does_not_have_is_refused(
    setting: str, exists: Any, wanted: Any, publisher: Side, reader: Side
) -> None:
    publisher.open(**({"max_publishers": 2} | {setting: exists}))
    second = Side(reader.peer, "publisher")
    if setting == "safe_overflow" and second.language == "python":
        # Python cannot tell its default from the same value given by name.
        second.open()
        return
    shown = (str(exists).lower(), str(wanted).lower())
    text = message("qos", service=SERVICE, setting=setting, exists=shown[0], wanted=shown[1])
    assert words(second.refused(**{setting: wanted})) == ("QosError", text)


def test_settings_that_were_not_asked_for_are_adopted(publisher: Side, reader: Side) -> None:
    publisher.open(max_publishers=2, buffer_size=3, borrowed_max=4, history_size=2)
    Side(reader.peer, "publisher").open()
    sub = reader.open()
    assert sub.do("qos") == [3, 4, 2, True]


@pytest.mark.proves("P3")
def test_the_borrow_limit_is_an_error_that_passes(publisher: Side, reader: Side) -> None:
    pub = publisher.open(borrowed_max=2)
    sub = reader.open()
    assert pub.do("wait_for_subscribers") == 1
    pub.do("publish", count=2)
    for value in range(2):
        assert sub.do("receive", timeout_ms=WAIT, hold=True)["value"] == value
    # Without another frame to receive the limit is not an error.
    assert sub.do("receive", timeout_ms=0) is None
    pub.do("publish", value=2)
    text = message("borrow_limit", service=SERVICE, held=2, limit=2)
    assert words(sub.error("receive", timeout_ms=WAIT)) == ("BorrowLimitError", text)
    stats = sub.do("stats")
    assert (stats["held"], stats["limit"]) == (2, 2)
    reader.peer.do("release")
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_loan_limit_is_an_error_that_passes(language: str, make_peer: Callable[[str], Peer]) -> None:
    peer = make_peer(language)
    pub = Side(peer, "publisher").open()
    for _ in range(limit("max_loans")):
        pub.do("loan")
    text = message("loan_limit", service=SERVICE, limit=limit("max_loans"))
    assert words(pub.error("loan")) == ("LoanLimitError", text)
    peer.do("discard")
    pub.do("loan")


@pytest.mark.parametrize("language", LANGUAGES)
def test_too_little_shared_memory_is_refused_before_it_is_used(language: str, make_peer: Callable[[str], Peer]) -> None:
    error = Side(make_peer(language), "publisher").refused(max_bytes=1 << 40)
    assert error.kind == "OutOfSharedMemoryError"
    chunk = (1 << 40) + limit("default_aux_bytes") + limit("chunk_overhead_bytes")
    chunks = limit("first_chunks")
    needed = f"it may need {chunks * chunk / 1e6:.1f} MB of shared memory ({chunks} frames of {chunk / 1e6:.1f} MB)"
    assert f'cannot publish on service "{SERVICE}": {needed}, but /dev/shm has only ' in error.text


@pytest.mark.proves("M2")
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_frame_without_a_free_place_is_dropped(language: str, make_peer: Callable[[str], Peer]) -> None:
    pub = Side(make_peer(language), "publisher").open(max_frames=12)
    peer = make_peer(language)
    subs = [Side(peer, "subscriber").open() for _ in range(1)]
    assert pub.do("wait_for_subscribers") == 1
    for value in range(10):
        pub.do("publish", value=value)
        assert subs[0].do("receive", timeout_ms=WAIT, hold=True)["value"] == value
    # Ten are held, one is the history: one place is left, which the next frame of the buffer keeps.
    assert pub.do("publish", value=10, count=5) < 5
    peer.do("release")
    assert pub.do("publish", value=20) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_service_is_created_as_the_contract_says(
    language: str, make_peer: Callable[[str], Peer], domain: Place
) -> None:
    Side(make_peer(language), "publisher").open()
    config = open_video_service(create_node(), SERVICE).static_config
    assert {
        "default_buffer_size_frames": config.subscriber_max_buffer_size,
        "default_borrowed_max_frames": config.subscriber_max_borrowed_samples,
        "min_history_size_frames": config.history_size,
        "default_safe_overflow": config.has_safe_overflow,
        "default_max_subscribers": config.max_subscribers,
        "default_max_publishers": config.max_publishers,
        "max_nodes": config.max_nodes,
    } == {
        name: limit(name)
        for name in (
            "default_buffer_size_frames",
            "default_borrowed_max_frames",
            "min_history_size_frames",
            "default_safe_overflow",
            "default_max_subscribers",
            "default_max_publishers",
            "max_nodes",
        )
    }


@pytest.mark.proves("M8")
@pytest.mark.parametrize(
    ("max_bytes", "frame"), [(0, limit("first_frame_bytes")), (6_220_800, 6_220_800 + limit("default_aux_bytes"))]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_memory_is_what_the_contract_says(
    language: str, max_bytes: int, frame: int, make_peer: Callable[[str], Peer], domain: Place
) -> None:
    pub = Side(make_peer(language), "publisher").open(max_bytes=max_bytes)
    (size,) = [path.stat().st_size for path in domain.shared_memory() if path.suffix == ".data"]
    chunks = limit("first_chunks")
    # The overhead is an upper bound, and the memory's own management takes another kilobyte or two.
    assert chunks * frame < size <= chunks * (frame + limit("chunk_overhead_bytes")) + 4096
    sub = Side(make_peer("python"), "subscriber").open()
    for value in range(30):
        pub.do("publish", value=value, width=1920, height=1080)
        assert sub.do("receive", timeout_ms=WAIT)["value"] == value
    # Only as many frames as exist at once take memory.
    assert sum(path.stat().st_blocks * 512 for path in domain.shared_memory()) < 32e6


def test_a_lossless_publisher_waits_in_rust_and_is_refused_in_python(publisher: Side, reader: Side) -> None:
    if publisher.language == "python":
        assert publisher.refused(lossless=True).kind == "QosError"
        return
    pub = publisher.open(lossless=True)
    sub = reader.open()
    assert pub.do("wait_for_subscribers") == 1
    sent = pub.begin("publish", count=100)
    values = []
    while len(values) < 100:
        frame = sub.do("receive", timeout_ms=WAIT)
        assert frame is not None
        values.append(frame["value"])
    assert values == [*range(100)]
    assert sent() == 100
    assert sub.do("stats")["dropped"] == 0
