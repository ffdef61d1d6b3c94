"""Receive frames in an event loop while another task, here a clock, keeps running.

Usage: python asyncio_consumer.py [SERVICE]
"""

import asyncio
import sys

from gst_iceoryx2.video import DEFAULT_SERVICE, VideoFrameSubscriber


async def watch(subscriber: VideoFrameSubscriber) -> None:
    async for frame in subscriber:
        # Run slow work in a thread. The array keeps the frame's memory valid there.
        mean = await asyncio.to_thread(frame.planes[0].mean)
        print(f"frame {frame.sequence}: mean {mean:.1f}", flush=True)
    print("end of stream")


async def tick() -> None:
    while True:
        print("tick", flush=True)
        await asyncio.sleep(0.2)


async def main(service: str = DEFAULT_SERVICE) -> None:
    clock = asyncio.create_task(tick())
    with VideoFrameSubscriber(service) as subscriber:
        await watch(subscriber)
    clock.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
