"""Acts of the child processes in these tests: functions that report lines of JSON and read lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

import numpy as np

from gst_iceoryx2.feed import PipelineFeeder, PipelineRun
from gst_iceoryx2.video import Qos, VideoFramePublisher, VideoFrameSubscriber, _sender
from tests.waiting import arrived


def run(act: str, *arguments: Any) -> None:
    globals()[act](*arguments)


def tell(thing: object) -> None:
    print(json.dumps(thing), flush=True)


def hear() -> str:
    return sys.stdin.readline().strip()


def picture(value: int, side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), value % 256, np.uint8)


def whole(view: np.ndarray) -> int:
    """Return the value of all pixels; -1 if they differ."""
    return int(view.min()) if view.min() == view.max() else -1


def publish_until_told(service: str, side: int = 64, interval: float = 0.002) -> None:
    """Publish stamped frames until a line comes; report the first one."""
    stop = threading.Event()
    threading.Thread(target=lambda: (hear(), stop.set()), daemon=True).start()
    with VideoFramePublisher(service) as pub:
        number = 0
        while not stop.is_set():
            with pub.loan(side, side) as loan:
                loan.numpy_view()[...] = number % 256
                loan.pts = number
            if number == 0:
                tell("publishing")
            number += 1
            time.sleep(interval)


def publish_and_idle(service: str, count: int) -> None:
    """Publish when a line comes, report it, and stay until another line comes."""
    with VideoFramePublisher(service) as pub:
        tell("ready")
        hear()
        pub.wait_for_subscribers(1, timeout=60)
        for number in range(count):
            pub.publish(picture(number), pts=number)
        tell("published")
        hear()


def publish_and_leave(service: str, count: int) -> None:
    """Wait for a subscriber, publish frames that all fit its buffer, end the stream and exit."""
    with VideoFramePublisher(service, qos=Qos(buffer_size=count + 1)) as pub:
        tell("ready")
        pub.wait_for_subscribers(1, timeout=60)
        for number in range(count):
            pub.publish(picture(number), pts=number)
        pub.end_of_stream()


def publish_patiently(service: str) -> None:
    """Publish a frame with a minute for readers to connect; report what ends the wait, and the frames sent."""
    _sender._CONNECTING = 60.0  # type: ignore[misc]
    with VideoFramePublisher(service) as pub:
        tell("publishing")
        try:
            pub.publish(picture(1))
        except KeyboardInterrupt:
            tell(["KeyboardInterrupt", pub.stats.sent])


def receive_all(service: str) -> None:
    """Report pts and value of every frame until the end of the stream."""
    with VideoFrameSubscriber(service) as sub:
        tell("ready")
        seen = []
        for frame in sub:
            seen.append((frame.pts, whole(frame.numpy_view())))
            del frame
        tell({"seen": seen, "stats": sub.stats._asdict()})


def receive_many(*services: str) -> None:
    """Have a subscriber on each service until killed."""
    subscribers = [VideoFrameSubscriber(service) for service in services]
    tell("receiving")
    hear()
    for subscriber in subscribers:
        subscriber.close()


def receive_for_ever(service: str) -> None:
    """Receive and hold frames until killed; report the fifth one."""
    sub = VideoFrameSubscriber(service)
    held: list[Any] = []
    for frame in sub:
        assert whole(frame.numpy_view()) == (frame.pts or 0) % 256
        held.append(frame)
        del held[:-4]
        if sub.stats.received == 5:
            tell("holding")


def hoard(service: str) -> None:
    """Hold as many frames as allowed until a line comes; report whether they are intact."""
    sub = VideoFrameSubscriber(service)
    held = [sub.receive_blocking() for _ in range(10)]
    tell([frame.pts for frame in held if frame])
    hear()
    tell([whole(frame.numpy_view()) == (frame.pts or 0) % 256 for frame in held if frame])


def wait_for_ever(service: str, way: str) -> None:
    """Block in a call until Ctrl-C ends it; report that."""
    sub = VideoFrameSubscriber(service)

    async def read() -> None:
        async for _ in sub:
            pass

    ways = {
        "receive_blocking": sub.receive_blocking,
        "latest": lambda: sub.latest(None),
        "iteration": lambda: list(sub),
        "async": lambda: asyncio.run(read()),
        "wait_for_subscribers": lambda: VideoFramePublisher(service + "/other").wait_for_subscribers(),
    }
    tell("waiting")
    try:
        ways[way]()
    except KeyboardInterrupt:
        tell("KeyboardInterrupt")


def close_from_a_signal_handler(service: str) -> None:
    """Close the subscriber in a signal handler, at any moment of a call in the main thread."""
    sub = VideoFrameSubscriber(service)
    signal.signal(signal.SIGTERM, lambda *_: sub.close())
    tell("receiving")
    count = sum(1 for _ in sub)
    tell({"ended": True, "count": count})


def exit_with_everything_open(service: str, how: str) -> None:
    """Exit without closing anything, with views in module globals."""
    global kept  # As in a script, where all variables are module globals.
    pub = VideoFramePublisher(service)
    sub = VideoFrameSubscriber(service)
    pub.wait_for_subscribers(1, timeout=60)
    pub.publish(picture(1))
    pub.publish(picture(2))
    frame = arrived(sub.receive())
    loan = pub.loan(8, 8)
    kept = (pub, sub, frame, frame.numpy_view(), sub.receive(), loan, loan.numpy_view())
    tell("done")
    if how == "error":
        raise RuntimeError("on purpose")
    if how == "thread":
        threading.Thread(target=sub.receive_blocking, daemon=True).start()
    if how == "sys.exit":
        sys.exit(0)


def end_while_threads_work(service: str) -> None:
    """Exit while daemon threads publish and receive; one of them raises an error of its own."""
    pub, subscribers = VideoFramePublisher(service), [VideoFrameSubscriber(service) for _ in range(2)]

    def publish() -> None:
        while True:
            pub.publish(picture(1))

    def fill() -> None:
        while True:
            with pub.loan(64, 64) as loan:
                loan.numpy_view()[...] = 1

    def receive() -> None:
        while True:
            subscribers[0].receive_blocking()

    def poll() -> None:
        while True:
            subscribers[1].receive()

    def fail() -> None:
        raise RuntimeError("of its own")

    for work in (publish, fill, receive, poll, fail):
        threading.Thread(target=work, daemon=True).start()
    pub.wait_for_subscribers(2, timeout=60)
    while min(subscriber.stats.received for subscriber in subscribers) < 10:
        time.sleep(0.01)
    tell("ending")


def fork_with(service: str, what: str) -> None:
    """Fork while ports are open; the child tries them and exits, and the parent continues."""
    pub, sub = VideoFramePublisher(service), VideoFrameSubscriber(service)
    pub.wait_for_subscribers(1, timeout=60)
    pub.publish(picture(1), pts=1)
    pub.publish(picture(2), pts=2)
    frame = arrived(sub.receive())
    view = frame.numpy_view()
    loan = pub.loan(8, 8)
    answer = ask_a_child(lambda: tried(what, service, pub, sub, frame, loan, view))
    pub.publish(picture(3), pts=3)
    following = [sub.receive_blocking(2000) for _ in range(2)]
    loan.numpy_view()[...] = 9
    loan.send()
    last = arrived(sub.receive_blocking(60_000))
    tell(
        {
            "child": answer,
            "view": whole(view),
            "following": [frame and frame.pts for frame in following],
            "last": whole(last.numpy_view()),
            "subscribers": pub.num_subscribers,
        }
    )


def ask_a_child(question: Any) -> Any:
    """Fork; the child answers a question through a pipe and exits normally. Return the answer."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(into, json.dumps(question()).encode())
        sys.exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        answer = json.loads(pipe.read() or "null")
    _, status = os.waitpid(child, 0)
    return [os.waitstatus_to_exitcode(status), answer]


def tried(what: str, service: str, pub: Any, sub: Any, frame: Any, loan: Any, view: Any) -> Any:
    def error(use: Any) -> str:
        try:
            use()
        except Exception as exc:
            return f"{type(exc).__name__}: {exc}"
        return "nothing"

    if what == "parent's ports":
        uses = (
            sub.receive,
            sub.receive_blocking,
            lambda: list(sub),
            lambda: pub.publish(picture(0)),
            lambda: pub.loan(8, 8),
            lambda: pub.num_subscribers,
            pub.end_of_stream,
            loan.send,
            frame.numpy_view,
        )
        errors = [error(use) for use in uses]
        pub.close()
        sub.close()
        frame.release()
        loan.discard()
        return [errors, whole(view)]
    if what == "its own ports":
        name = service + "/child"
        with VideoFramePublisher(name) as own_pub, VideoFrameSubscriber(name) as own_sub:
            own_pub.wait_for_subscribers(1, timeout=60)
            own_pub.publish(picture(5))
            received = own_sub.receive_blocking(2000)
            return received and whole(received.numpy_view())
    return None


def start_and_tell(service: str) -> None:
    """Start a publisher and a subscriber; report whether a frame crosses."""
    with VideoFramePublisher(service) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        pub.publish(picture(1))
        frame = sub.receive_blocking(2000)
        tell({"crossed": frame is not None and whole(frame.numpy_view()) == 1})


def start_until_killed(service: str) -> None:
    """Open and close ports until killed."""
    tell("starting")
    while True:
        with contextlib.suppress(Exception), VideoFramePublisher(service) as pub:
            pub.publish(picture(1))


def fail_to_start(service: str) -> None:
    """Report the errors of a publisher and a subscriber."""
    for make in (VideoFramePublisher, VideoFrameSubscriber):
        try:
            make(service).close()
        except Exception as exc:
            kinds = [kind.__name__ for kind in type(exc).__mro__]
            tell({"kinds": kinds, "text": str(exc)})
        else:
            tell("no error")


def write_beyond(service: str, width: int, height: int) -> None:
    """Publish frames that may not fit in shared memory."""
    try:
        with VideoFramePublisher(service) as pub:
            for number in range(40):
                pub.publish(np.full((height, width, 3), number, np.uint8))
        tell("published")
    except MemoryError as exc:
        tell(str(exc))


def run_pipeline(name: str, pipeline: str) -> None:
    """Run a pipeline until killed; report its process ID."""
    feeder = PipelineFeeder(name, pipeline)
    told: list[int] = []

    def report(run: PipelineRun) -> None:
        if not told and run.pid is not None:
            told.append(run.pid)
            tell(run.pid)

    feeder.run(report)
