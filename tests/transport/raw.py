"""Plain iceoryx2, used as a program would that follows SPEC.md only."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import iceoryx2 as iox2

from gst_iceoryx2.video import VideoFrameHeader


def node() -> Any:
    """Return a node in the test's domain with iceoryx2's own defaults, which include clean-up."""
    root, _, prefix = os.environ["IOX2_VIDEO_DOMAIN"].rpartition(":")
    config = iox2.config.default()
    config.global_cfg.root_path = iox2.Path.new(root)
    config.global_cfg.prefix = iox2.FileName.new(prefix)
    builder = iox2.NodeBuilder.new().config(config).signal_handling_mode(iox2.SignalHandlingMode.Disabled)
    return builder.create(iox2.ServiceType.Ipc)


def video_service(on: Any, name: str, header: type[ctypes.Structure] = VideoFrameHeader) -> Any:
    """Open or create the service with iceoryx2's default quality of service."""
    return pub_sub_builder(on, name, header).open_or_create()


def pub_sub_builder(on: Any, name: str, header: type[ctypes.Structure] = VideoFrameHeader) -> Any:
    """Return a service builder."""
    return (
        on.service_builder(iox2.ServiceName.new(name)).publish_subscribe(iox2.Slice[ctypes.c_uint8]).user_header(header)
    )


def event_service(on: Any, name: str) -> Any:
    """Open or create the event service of a name."""
    return on.service_builder(iox2.ServiceName.new(name)).event().open_or_create()


class RawPublisher:
    """Sends any header with any payload."""

    def __init__(
        self,
        name: str,
        max_len: int = 1 << 16,
        buffer_size: int = 2,
        header: type[ctypes.Structure] = VideoFrameHeader,
    ) -> None:
        self.node = node()
        builder = pub_sub_builder(self.node, name, header).subscriber_max_buffer_size(buffer_size)
        self.service = builder.subscriber_max_borrowed_samples(buffer_size).open_or_create()
        self.notifier = event_service(self.node, name).notifier_builder().create()
        builder = self.service.publisher_builder().initial_max_slice_len(max_len)
        self.publisher = builder.allocation_strategy(iox2.AllocationStrategy.PowerOfTwo).create()

    def send(self, header: ctypes.Structure, payload: bytes, number: int | None = None) -> None:
        """Send a frame. `number` replaces the number of bytes in iceoryx2's own header, to lie about it."""
        loan = self.publisher.loan_slice_uninit(len(payload))
        ctypes.memmove(loan.payload_ptr, payload, len(payload))
        ctypes.memmove(loan.user_header_ptr, bytes(header), ctypes.sizeof(header))
        if number is not None:
            # iceoryx2's header lies before the user header and ends with the number of elements and an offset.
            ctypes.memmove(loan.user_header_ptr - 16, number.to_bytes(8, "little"), 8)
        loan.assume_init().send()
        self.notifier.notify()

    def close(self) -> None:
        del self.publisher, self.service, self.notifier, self.node
