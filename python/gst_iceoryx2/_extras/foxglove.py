"""The Foxglove SDK, if it is installed: Foxglove's live connection over WebSocket. No other module imports it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from ..errors import MissingExtraError

try:
    import foxglove
except ImportError as exc:
    raise MissingExtraError(
        f"a Foxglove server needs the package foxglove-sdk, which cannot be imported ({exc}); "
        "run `pip install 'iox2-video[foxglove]'` (in a clone: `pip install '.[foxglove]'`)"
    ) from exc

# It logs each client that disconnects. Programs that want to see this can set up logging.
logging.getLogger("foxglove").addHandler(logging.NullHandler())
# The server has no token, so it must not be reachable from other machines.
_HOST: Final = "127.0.0.1"
# Most messages that wait for a slow client; the SDK drops the oldest one.
_BACKLOG: Final = 64


class FoxgloveServer:
    """Sends messages to the clients that have subscribed to them. It listens only on 127.0.0.1.

    Args:
        name: Name of the server that clients show.
        port: TCP port; 0 = a free port.
        on_change: Called from another thread when a client has subscribed to a topic or left it, with the topic and
            whether a client subscribed. Must not block.

    Raises:
        OSError: The port is in use, for example.
    """

    def __init__(self, name: str, port: int, on_change: Callable[[str, bool], None]) -> None:
        self._context = foxglove.Context()
        self._channels: dict[str, Any] = {}
        try:
            self._server = foxglove.start_server(
                name=name,
                host=_HOST,
                port=port,
                server_listener=_Listener(on_change),
                context=self._context,
                message_backlog_size=_BACKLOG,
            )
        except RuntimeError as exc:
            raise OSError(str(exc)) from exc

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"ws://{_HOST}:{self._server.port}"

    def add_channel(self, topic: str, schema: str, definition: bytes) -> None:
        """Offer a topic of protobuf messages.

        Args:
            topic: The topic.
            schema: Full name of the type of the messages.
            definition: Serialised FileDescriptorSet with this type.
        """
        described = foxglove.Schema(name=schema, encoding="protobuf", data=definition)
        self._channels[topic] = foxglove.Channel(
            topic, schema=described, message_encoding="protobuf", context=self._context
        )

    def send(self, topic: str, log_time: int, data: bytes) -> None:
        """Send a message to the clients that have subscribed to its topic. Does not wait for them.

        Args:
            topic: The topic.
            log_time: Time in nanoseconds since 1970.
            data: The message.
        """
        self._channels[topic].log(data, log_time=log_time)

    def close(self) -> None:
        """Disconnect all clients."""
        self._server.stop()


class _Listener:
    """Hears of subscriptions. The SDK ignores methods that are missing."""

    def __init__(self, on_change: Callable[[str, bool], None]) -> None:
        self._on_change = on_change

    def on_subscribe(self, client: Any, channel: Any) -> None:
        self._on_change(channel.topic, True)

    def on_unsubscribe(self, client: Any, channel: Any) -> None:
        self._on_change(channel.topic, False)
