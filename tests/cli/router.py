"""A Zenoh router in the test's process, in place of ROS 2's rmw_zenohd, and a session of another ROS 2 program."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

import zenoh


class Router:
    """A router on a port of this machine, until it is closed.

    Attributes:
        endpoint: Where programs connect.
    """

    def __init__(self, port: int) -> None:
        self.endpoint = f"tcp/127.0.0.1:{port}"
        self._session = _open("router", listen=[self.endpoint])

    def client(self) -> Any:
        """Open a session that is connected to this router."""
        return _open("client", connect=[self.endpoint])

    def __enter__(self) -> Router:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._session.close()


def _open(mode: str, **endpoints: list[str]) -> Any:
    config = zenoh.Config()
    settings: dict[str, Any] = {f"{name}/endpoints": value for name, value in endpoints.items()}
    settings |= {"mode": mode, "scouting/multicast/enabled": False}
    for key, value in settings.items():
        config.insert_json5(key, json.dumps(value))
    return zenoh.open(config)
