"""Encodes one stream until it is stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..work import Stop

if TYPE_CHECKING:
    from ..codec.packet_encoder import PacketEncoder
    from ..codec.pipeline_encoder import PipelineEncoder
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
    encoder = _encoder(command["name"], command["settings"])
    is_running = False
    try:
        while not stop.is_set():
            encoder.step()
            # Before its first packet, an encoder may still fail, and the reason of its last failure stays known.
            if encoder.is_publishing and not is_running:
                is_running = True
                reporter.say(state="running")
            if reporter.is_due():
                reporter.say(**encoder.report())
    finally:
        encoder.close()


def _encoder(name: str, settings: Mapping[str, Any]) -> PacketEncoder | PipelineEncoder:
    # PyAV is not needed for an encoder of GStreamer.
    if "encoder" in settings:
        from ..codec.pipeline_encoder import PipelineEncoder

        return PipelineEncoder(name, settings["encoder"])
    from ..codec.packet_encoder import PacketEncoder

    return PacketEncoder(name, settings)
