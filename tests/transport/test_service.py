"""Service names, limits, and the errors of a service that cannot be used."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

import iceoryx2 as iox2
import pytest

from gst_iceoryx2._iox2 import binding, cleanup
from gst_iceoryx2._iox2.domain import Pattern, current_domain
from gst_iceoryx2.contract import limit
from gst_iceoryx2.errors import (
    InvalidServiceNameError,
    ServiceBrokenError,
    ServiceMismatchError,
    TooManyPortsError,
    VersionMismatchError,
)
from gst_iceoryx2.video import (
    FrameParams,
    Qos,
    VideoFramePublisher,
    VideoFrameSubscriber,
    _link,
    create_listener,
    create_node,
    open_video_service,
)
from tests.conftest import Place
from tests.pictures import noise
from tests.transport import raw
from tests.waiting import arrived, wait_until


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (b"video", "not bytes"),
        (None, "not NoneType"),
    ],
)
def test_a_name_of_another_type_is_refused(name: str, words: str) -> None:
    for make in (VideoFramePublisher, VideoFrameSubscriber):
        with pytest.raises(InvalidServiceNameError, match=words) as caught:
            make(name)
        assert isinstance(caught.value, ValueError)


def test_ports_notify_with_the_event_ids_of_the_contract(service: str) -> None:
    """A listener beside them hears a publisher come and go, its frame, and a reader that takes the frame."""
    first, new = limit("event_found_first"), limit("event_new")
    node = create_node()
    listener = create_listener(node, service)

    def heard() -> list[int]:
        return sorted(event.id.as_value for event in listener.try_wait())

    def heard_besides() -> list[int]:
        """A publisher also notifies of something new when it finds a subscriber, at any moment."""
        return [event for event in heard() if event != new]

    with VideoFramePublisher(service, qos=Qos(safe_overflow=False)) as pub, VideoFrameSubscriber(service) as sub:
        assert heard_besides() == [limit("event_publishers_changed")]
        pub.publish_frame(noise(12), FrameParams(2, 2))
        assert new in heard()
        assert sub.receive_blocking(60_000) is not None
        taken, found = heard_besides()
        assert taken == limit("event_taken")
        assert found in range(first, first + limit("event_found_count"))
    assert limit("event_publishers_changed") in heard()


def test_a_port_that_is_replaced_for_larger_frames_is_notified(service: str) -> None:
    listener = create_listener(create_node(), service)
    with VideoFramePublisher(service) as pub, VideoFrameSubscriber(service):
        pub.publish_frame(noise(12), FrameParams(2, 2))
        while listener.try_wait():
            pass
        pub.publish_frame(bytes(1000 * 700 * 3), FrameParams(1000, 700))
        assert {event.id.as_value for event in listener.try_wait()} == {
            limit("event_publishers_changed"),
            limit("event_new"),
        }


@pytest.mark.parametrize("name", ["x", "x" * 255, "video/cam 0/../frame v2", "/ a ~!\"'\\ ", "...", "100%s {}"])
def test_a_name_of_printable_characters_works(name: str) -> None:
    with VideoFramePublisher(name) as pub, VideoFrameSubscriber(name) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        pub.publish_frame(noise(12), FrameParams(2, 2))
        frame = arrived(sub.receive())
        assert bytes(frame.pixels) == noise(12)


def test_one_listener_too_many_gets_a_sentence(service: str) -> None:
    node = create_node()
    listeners = [create_listener(node, service) for _ in range(16)]
    with pytest.raises(
        TooManyPortsError, match=r"another listener: service .* already has 16, which is its limit; close one"
    ):
        VideoFrameSubscriber(service)
    del listeners


def test_a_subscriber_that_waits_hears_of_it_when_it_is_one_too_many(service: str) -> None:
    waiting = [VideoFrameSubscriber(service) for _ in range(3)]
    with VideoFramePublisher(service, max_subscribers=2):
        failed = 0
        for sub in waiting:
            try:
                sub.receive_blocking(100)
            except TooManyPortsError:
                failed += 1
        assert failed == 1
    for sub in waiting:
        sub.close()


class OtherHeader(ctypes.Structure):
    _fields_ = (("number", ctypes.c_uint64),)

    @staticmethod
    def type_name() -> str:
        return "SomebodysHeader"


@pytest.mark.proves("E1")
def test_a_name_with_another_header_is_refused_with_both_types(service: str) -> None:
    other = raw.video_service(raw.node(), service, OtherHeader)
    publisher = other.publisher_builder().initial_max_slice_len(8).create()
    for make in (VideoFramePublisher, VideoFrameSubscriber):
        with pytest.raises(ServiceMismatchError, match=r"SomebodysHeader \(8 bytes") as caught:
            make(service)
        assert isinstance(caught.value, TypeError)
        assert service in str(caught.value)
        assert "104-byte header VideoFrameHeader" in str(caught.value)
    del publisher


def test_a_name_with_another_payload_is_refused_with_both_types(service: str) -> None:
    node = raw.node()
    name = iox2.ServiceName.new(service)
    other = node.service_builder(name).publish_subscribe(ctypes.c_uint64).create()
    with pytest.raises(ServiceMismatchError, match=r"carries u64 \(8 bytes, alignment 8\) .* \(slices of u8"):
        VideoFramePublisher(service)
    del other


def test_a_subscriber_hears_of_it_when_its_name_comes_to_carry_something_else(service: str) -> None:
    with VideoFrameSubscriber(service) as sub:
        other = raw.video_service(raw.node(), service, OtherHeader)
        publisher = other.publisher_builder().initial_max_slice_len(8).create()
        with pytest.raises(ServiceMismatchError):
            sub.receive_blocking(60_000)
        del publisher, other
        with VideoFramePublisher(service) as pub:
            pub.wait_for_subscribers(1, timeout=60)
            pub.publish_frame(noise(12), FrameParams(2, 2))
            assert sub.receive_blocking(60_000) is not None


def description(service: str) -> Path:
    return Path(current_domain().service_file(service, "PublishSubscribe"))


def rewrite(path: Path, pattern: str, replacement: str) -> None:
    """Change a description as if another program had written it."""
    text = re.sub(pattern, replacement, path.read_text(), flags=re.DOTALL)
    path.chmod(0o600)
    path.write_text(text)
    path.chmod(0o400)


@pytest.mark.parametrize(
    ("pattern", "replacement", "theirs"),
    [("minor = 10", "minor = 11", r"0\.11\.0"), (r"\[iceoryx2_version\].*?\n\n", "", r"0\.9 or older")],
)
def test_a_service_of_another_release_is_refused_with_both_versions(
    pattern: str, replacement: str, theirs: str, service: str
) -> None:
    existing = open_video_service(create_node(), service)
    rewrite(description(service), pattern, replacement)
    with pytest.raises(
        VersionMismatchError, match=f"created with iceoryx2 {theirs}, but this program uses 0\\.10\\.0"
    ) as caught:
        VideoFramePublisher(service)
    assert service in str(caught.value)
    assert "same release" in str(caught.value)
    del existing


def test_the_installed_release_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "iceoryx2").mkdir()
    (tmp_path / "iceoryx2-0.9.3.dist-info").mkdir()
    monkeypatch.setattr(binding.iox2, "__file__", str(tmp_path / "iceoryx2" / "__init__.py"))
    with pytest.raises(VersionMismatchError, match=r"release 0\.9\.3, .*pip install iceoryx2==0\.10\.0"):
        binding._check_release()


def test_an_unfinished_description_is_no_service_yet(service: str) -> None:
    """Its creator may still be running. Opening it would hold the interpreter for a second."""
    with VideoFrameSubscriber(service) as sub:
        path = description(service)
        path.touch(0o600)
        assert sub.receive() is None
        assert sub.receive_blocking(300) is None
        path.unlink()


def dead_node(domain: Place) -> Path:
    """Return the folder of a node whose process has ended, with its monitor."""
    nodes = domain.root / "nodes"
    (nodes / "7").mkdir(parents=True, exist_ok=True)
    (nodes / f"{domain.prefix}7.node_monitor").touch()
    return nodes / "7"


def test_an_unfinished_description_that_a_dead_node_names_is_removed_and_the_publisher_starts(
    service: str, domain: Place
) -> None:
    folder = dead_node(domain)
    path = description(service)
    path.parent.mkdir(exist_ok=True)
    path.touch(0o600)
    # Its process died before it finished the tag of another service.
    (folder / f"{path.stem}.service_tag").touch(0o400)
    with VideoFramePublisher(service) as pub:
        assert pub.publish_frame(noise(12), FrameParams(2, 2)) == 0
    domain.remove()


@pytest.mark.parametrize("pattern", ["PublishSubscribe", "Event"])
@pytest.mark.proves("L13")
def test_an_unfinished_description_that_no_dead_node_names_is_left_alone(
    pattern: Pattern, service: str, monkeypatch: pytest.MonkeyPatch, domain: Place
) -> None:
    """However old it is, its creator may live in another pid namespace. The error names the file."""
    monkeypatch.setattr(cleanup, "_HELPER", Path("/nonexistent"))
    dead_node(domain)
    path = Path(current_domain().service_file(service, pattern))
    path.parent.mkdir(exist_ok=True)
    path.touch(0o600)
    os.utime(path, (1, 1))
    with pytest.raises(ServiceBrokenError, match=r"half created.*iox2-video doctor --fix") as caught:
        VideoFramePublisher(service)
    assert service in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.exists()
    path.unlink()


def test_a_publisher_that_died_while_it_started_does_not_stop_a_subscriber(
    service: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The description is complete, but its shared memory is missing, and clean-up does not help."""
    monkeypatch.setattr(_link, "_REST", 0.2)
    monkeypatch.setattr(binding, "run_helper", lambda _: True)
    path = description(service)
    existing = open_video_service(create_node(), service)
    promise = path.read_text()
    with VideoFrameSubscriber(service) as sub:
        del existing
        wait_until(lambda: not path.exists())
        path.write_text(promise)
        path.chmod(0o400)
        assert sub.receive_blocking(300) is None
        wait_until(lambda: sub.receive() is None and "half created" in caplog.text)
        path.unlink()
        with VideoFramePublisher(service) as pub:
            pub.wait_for_subscribers(1, timeout=60)
            pub.publish_frame(noise(12), FrameParams(2, 2))
            assert sub.receive_blocking(60_000) is not None
    # One log line for all attempts.
    assert caplog.text.count("waiting for another publisher") == 1


def test_removed_files_lead_a_subscriber_to_the_next_publisher(service: str, domain: object) -> None:
    """A cleaner of /tmp removes the description of a living service. The next publisher creates a new service."""
    old = VideoFramePublisher(service)
    with VideoFrameSubscriber(service) as sub:
        old.publish_frame(noise(12), FrameParams(2, 2, pts=1))
        held = arrived(sub.receive())
        description(service).unlink()
        with VideoFramePublisher(service) as pub:
            pub.wait_for_subscribers(1, timeout=60)
            pub.publish_frame(noise(12), FrameParams(2, 2, pts=2))
            frame = arrived(sub.receive_blocking(60_000))
            assert frame.pts == 2
    # The old service cannot be removed in the usual way any more.
    del held, frame
    old.close()
    domain.remove()  # type: ignore[attr-defined]
