"""What child processes of the tests of packets do."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from typing import Any

from gst_iceoryx2.errors import Iox2VideoError
from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from tests.packets.units import Encoder, number_of


def publish(gop: int, at_once: int = 1, count: int | None = None) -> None:
    """Publish some units at once, report the ID of the stream, and go on up to a count of units, until stdin ends."""
    with PacketPublisher("cam0", "h264", 640, 480) as publisher:
        encoder = Encoder(publisher, gop, answers=True)
        encoder.publish(at_once)
        say(publisher.stream)
        published = at_once
        while not select.select([sys.stdin], [], [], 0)[0]:
            if count is None or published < count:
                encoder.publish()
                published += 1
            time.sleep(0.01)


def read(held: int = 0) -> None:
    """Read until stdin ends, and hold some packets; report number, stream and discontinuity of each."""
    with PacketSubscriber("cam0") as subscriber:
        say("there")
        kept = []
        while not select.select([sys.stdin], [], [], 0)[0]:
            packet = subscriber.receive_blocking(20)
            if packet is not None:
                kept = [*kept, packet][-held:] if held else []
                say([number_of(packet), packet.stream, packet.is_discont])


def fork_with_ports() -> None:
    """Fork with open ports and a held packet; report what the child gets, and what the parent receives afterwards."""
    publisher, subscriber = PacketPublisher("cam0", "h264", 640, 480), PacketSubscriber("cam0")
    encoder = Encoder(publisher, 10)
    encoder.publish(5)
    packets = [subscriber.receive_blocking(10_000) for _ in range(5)]
    encoder.publish()
    held = subscriber.receive_blocking(10_000)
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        errors = []
        for act in (
            subscriber.receive,
            subscriber.request_keyframe,
            lambda: encoder.publish(),
            lambda: publisher.is_keyframe_wanted,
            lambda: held.data,  # type: ignore[union-attr]
            publisher.end_of_stream,
        ):
            try:
                act()
                errors.append("nothing")
            except Iox2VideoError as exc:
                errors.append(type(exc).__name__)
        subscriber.close()
        publisher.close()
        os.write(into, json.dumps(errors).encode())
        del subscriber, publisher, held, packets
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    encoder.publish(3)
    following = [number_of(subscriber.receive_blocking(10_000)) for _ in range(3)]  # type: ignore[arg-type]
    say({"status": status, "errors": json.loads(os.read(out, 10_000)), "following": following})
    say(number_of(held))  # type: ignore[arg-type]
    publisher.close()
    subscriber.close()


def wait_for_ctrl_c() -> None:
    """Wait for a packet, without a publisher, until Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with PacketSubscriber("cam0") as subscriber:
        try:
            say("there")
            subscriber.receive_blocking()
        except KeyboardInterrupt:
            say("interrupted")


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def run(act: str, *arguments: Any) -> None:
    """Run an act by name."""
    globals()[act](*arguments)
