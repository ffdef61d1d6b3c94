"""Makes sure that the packets of a stream are published: encodes them in this process if no other process does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from .._wire.packet import packet_service
from .._wire.rendition import CODECS, codec_of
from ..discovery import short_name
from ..discovery.encoded import encoded
from ..errors import FormatError, Iox2VideoError, TooManyPortsError
from ..work import Stop

# Time between two looks for another encoder, in seconds.
_LOOK_EVERY: Final = 0.25


@contextlib.contextmanager
def packets_for(name: str, codec: str = "h264") -> Iterator[PacketsOnDemand]:
    """Make sure that the packets of a stream are published while the `with` block runs.

    If another process publishes them, or `iox2-video serve` would, this does nothing. Otherwise it encodes the stream
    in a thread and publishes the packets, so that other readers share them. When the other process ends, this one takes
    over, and readers miss about a second. An encoder that runs goes on, because a change would lose packets: a
    supervisor that starts later leaves the stream to this encoder until the block ends.

    Args:
        name: Name of the stream: `cam0`, or of its packets: `cam0@h264`.
        codec: "h264", "h265" or "av1". Only "h264" can be encoded.

    Yields:
        The name of the packets' service, and the state of the encoder.

    Raises:
        FormatError: No process publishes the packets, and the codec cannot be encoded. When the block ends: the pixels
            cannot be encoded.
        MissingExtraError: PyAV is needed, and is not installed.
        ServiceError: When the block ends: a service exists but cannot be opened.
        InvalidServiceNameError: The name cannot be used as the name of a stream.

    Example:
        Read packets, also if no other process encodes the stream:

            from gst_iceoryx2.codec import packets_for
            from gst_iceoryx2.packets import PacketSubscriber

            with packets_for("cam0") as source, PacketSubscriber(source.service) as subscriber:
                while (packet := subscriber.receive_blocking(100)) is None:
                    source.check()
                print(packet)
    """
    source = PacketsOnDemand(name, codec)
    try:
        yield source
    except Iox2VideoError as exc:
        # The encoder's error is why the reader received nothing.
        source.close()
        if source.error is not None and source.error is not exc:
            raise source.error from exc
        raise
    finally:
        source.close()
    source.check()


class PacketsOnDemand:
    """The packets of a stream, encoded in this process if no other process does; see `packets_for`.

    Attributes:
        service: Full name of the packets' service.
        error: Why the encoder of this process failed; None if it did not.
        is_encoding: Whether this process publishes the packets.
    """

    def __init__(self, name: str, codec: str) -> None:
        short = short_name(name)
        self.service, self._codec = packet_service(short, None if codec_of(short) else codec)
        self.error: Iox2VideoError | None = None
        self.is_encoding = False
        self._stop = Stop()
        if encoded(self.service) is None:
            if self._codec != CODECS[0]:
                raise FormatError(
                    f"no process publishes {short_name(self.service)}, and {self._codec} cannot be encoded on demand; "
                    f"use {CODECS[0]}, or start the program that publishes it"
                )
            # If PyAV is missing, the caller learns it here.
            from . import packet_encoder as packet_encoder
        self._thread = threading.Thread(target=self._run, name=f"encoder of {short}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise the encoder's error, if it failed. Call it while no packets arrive.

        Raises:
            Iox2VideoError: The encoder failed.
        """
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Stop the encoder. Idempotent."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if encoded(self.service) is None and self._codec == CODECS[0]:
                    self._encode()
                self._stop.wait(_LOOK_EVERY)
        except Iox2VideoError as exc:
            # The traceback would keep frames alive in shared memory.
            self.error = exc.with_traceback(None)

    def _encode(self) -> None:
        """Encode until the end of the `with` block, or until another process publishes the packets or would do so."""
        from .packet_encoder import PacketEncoder

        encoder = PacketEncoder(short_name(self.service), {})
        try:
            while not self._stop.is_set() and (encoder.is_publishing or encoded(self.service) is None):
                encoder.step()
                self.is_encoding = encoder.is_publishing
        except TooManyPortsError:
            pass  # Another encoder was quicker.
        finally:
            self.is_encoding = False
            encoder.close()
