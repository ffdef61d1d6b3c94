"""`async for` while the event loop does other work."""

from __future__ import annotations

import asyncio
import os

import numpy as np
import pytest

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber

pytestmark = pytest.mark.asyncio


async def test_frames_come_in_order_until_the_end(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    async def publish() -> None:
        for value in range(30):
            pub.publish(np.full((4, 4, 3), value, np.uint8), pts=value)
            await asyncio.sleep(0.001)
        pub.end_of_stream()

    task = asyncio.create_task(publish())
    received = [(frame.pts, int(frame.numpy_view()[0, 0, 0])) async for frame in sub]
    await task
    assert received == [(value, value) for value in range(30)]


async def test_two_streams_are_read_by_one_loop(service: str) -> None:
    names = [f"{service}/{number}" for number in range(2)]
    pubs = [VideoFramePublisher(name) for name in names]
    subs = [VideoFrameSubscriber(name) for name in names]

    async def read(sub: VideoFrameSubscriber) -> int:
        return len([frame.pts async for frame in sub])

    async def write(pub: VideoFramePublisher) -> None:
        pub.wait_for_subscribers(1, timeout=60)
        for _ in range(20):
            pub.publish(np.zeros((4, 4, 3), np.uint8))
            await asyncio.sleep(0.001)
        pub.end_of_stream()

    counts = await asyncio.gather(*map(read, subs), *map(write, pubs))
    assert counts[:2] == [20, 20]
    for port in (*pubs, *subs):
        port.close()


async def test_two_readers_of_one_subscriber_share_its_frames(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    received: list[int | None] = []

    async def read() -> None:
        async for frame in sub:
            received.append(frame.pts)

    readers = [asyncio.create_task(read()) for _ in range(2)]
    for value in range(20):
        pub.publish(np.zeros((4, 4, 3), np.uint8), pts=value)
        await asyncio.sleep(0.002)
    while len(received) < 20:
        await asyncio.sleep(0.01)
    sub.close()
    await asyncio.gather(*readers)
    assert sorted(received) == list(range(20))  # type: ignore[type-var]


def descriptors() -> set[tuple[str, str]]:
    """Return the descriptors of this process, except for one that is opened when participants are looked for."""
    found = set()
    for name in os.listdir("/dev/fd"):
        try:
            target = os.readlink(f"/dev/fd/{name}")
        except FileNotFoundError:
            # It was the list's own.
            continue
        if ".node_monitor" not in target:
            found.add((name, target))
    return found


async def test_cancelling_leaves_no_descriptor_behind(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    async def read() -> None:
        async for _ in sub:
            pass

    # The first frame opens the descriptors of a connection and a notifier, unless the keeper's thread did.
    pub.publish(np.zeros((4, 4, 3), np.uint8))
    assert sub.receive_blocking(60_000) is not None
    before = descriptors()
    task = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    assert descriptors() - before
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def all_are_closed() -> None:
        # The keeper's thread opens files for a moment, too.
        while descriptors() - before:
            await asyncio.sleep(0.01)

    await asyncio.wait_for(all_are_closed(), 30)


async def test_the_loop_goes_on_while_nothing_comes(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    ticks = 0

    async def read() -> None:
        async for _ in sub:
            pass

    task = asyncio.create_task(read())
    for _ in range(50):
        await asyncio.sleep(0.002)
        ticks += 1
    assert ticks == 50
    assert not task.done()
    pub.end_of_stream()
    await asyncio.wait_for(task, 60)


async def test_closing_ends_the_loop(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    async def read() -> int:
        return len([frame async for frame in sub])

    task = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    sub.close()
    assert await asyncio.wait_for(task, 60) == 0
