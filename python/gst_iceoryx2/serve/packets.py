"""Encodes one stream until it is stopped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..codec.packet_encoder import PacketEncoder
from ..work import Stop

if TYPE_CHECKING:
    from .worker import Commands, Reporter


def encode(commands: Commands, reporter: Reporter, stop: Stop) -> None:
    """Publish the packets of the supervisor's first line until it is gone.

    Raises:
        Iox2VideoError: The stream cannot be received or encoded.
    """
    line = commands.first()
    if line is None:
        return
    command = json.loads(line)
    encoder = PacketEncoder(command["name"], command["settings"])
    reporter.say(state="running")
    try:
        while not stop.is_set():
            encoder.step()
            if reporter.is_due():
                reporter.say(**encoder.report())
    finally:
        encoder.close()
