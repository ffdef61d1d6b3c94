"""Every example in a docstring of `gst_iceoryx2.packets` runs as it stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2 import packets
from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from tests.packets.test_real_video import HEIGHT, WIDTH, X264
from tests.serve.rings import RingProcess
from tests.transport.test_docstring_examples import example_of
from tests.waiting import wait_until


def documented() -> Iterator[tuple[str, Any]]:
    """Return all public names, and the public members of classes."""
    for name in packets.__all__:
        value = getattr(packets, name)
        yield name, value
        for member, of in vars(value).items():
            if not member.startswith("_"):
                yield f"{name}.{member}", of


EXAMPLES = {name: code for name, value in documented() if name != "Stamp" and (code := example_of(value)) is not None}


def test_newcomers_find_an_example() -> None:
    assert set(EXAMPLES) >= {"Packet", "PacketPublisher", "PacketPublisher.publish", "PacketSubscriber"}


def publish_until(stop: threading.Event) -> None:
    """Publish a stream of 20 pictures again and again."""
    with PacketPublisher("cam0", "h264", WIDTH, HEIGHT) as publisher:
        x264 = X264(publisher)
        while not stop.is_set():
            x264.publish(20)
            publisher.end_of_stream()
            stop.wait(0.05)


def publish_live_until(stop: threading.Event) -> None:
    """Publish pictures that are captured at present."""
    with PacketPublisher("cam0", "h264", WIDTH, HEIGHT) as publisher:
        x264 = X264(publisher, time.monotonic_ns())
        while not stop.wait(1 / 30):
            x264.publish(1)


@pytest.fixture
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RingProcess]:
    """Return a process that keeps the packets of cam0."""
    process = RingProcess(tmp_path_factory.mktemp("ring")).wait()
    yield process
    process.end()


@pytest.mark.parametrize("code", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_runs(
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {name: getattr(packets, name) for name in packets.__all__}
    program = compile(code, "example", "exec")
    if "PacketPublisher(" in code:
        codec = "av1" if '"av1"' in code else "h264"
        with PacketSubscriber("cam0", codec) as subscriber:
            exec(program, names)
            assert subscriber.receive_blocking(60_000) is not None
        return
    is_past = "lookback(" in code
    if is_past:
        request.getfixturevalue("ring")
    stop = threading.Event()
    thread = threading.Thread(target=publish_live_until if is_past else publish_until, args=(stop,))
    thread.start()
    try:
        if is_past:
            wait_until(lambda: packets.lookback("cam0").seconds > 2.5, 30)
        exec(program, names)
    finally:
        stop.set()
        thread.join()
    assert capsys.readouterr().out or "print(" not in code
    assert all(file.stat().st_size > 1000 for file in tmp_path.iterdir())
