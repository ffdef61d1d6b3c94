"""The two ends of most tests: a stage that publishes pushed frames, and a stage that receives."""

from __future__ import annotations

from collections.abc import Callable

from tests.gst.remote import Stage

Stages = Callable[..., Stage]


def sender_of(stages: Stages, service: str, properties: str = "wait-for-connection=true") -> Stage:
    """Return a stage that publishes pushed frames, by default once a subscriber is connected."""
    sender = stages()
    send(sender, service, properties)
    return sender


def send(sender: Stage, service: str, properties: str = "wait-for-connection=true") -> None:
    """Start the pipeline of `sender_of` in a stage."""
    sender.play(f'appsrc name=in format=time ! iceoryx2sink name=sink service="{service}" sync=false {properties}')


def receiver_of(
    stages: Stages, service: str, properties: str = "", *, video_meta: bool = True, state: str = "PLAYING"
) -> Stage:
    """Return a stage that receives into an appsink, which keeps strides if it supports GstVideoMeta (`video_meta`)."""
    receiver = stages()
    receive(receiver, service, properties, video_meta=video_meta, state=state)
    return receiver


def receive(
    receiver: Stage,
    service: str,
    properties: str = "",
    *,
    video_meta: bool = True,
    state: str = "PLAYING",
    limits: str = "",
) -> None:
    """Start the pipeline of `receiver_of` in a stage."""
    # The last sample of a sink would hold a frame.
    sink = f"appsink name=out sync=false enable-last-sample=false {limits}"
    receiver.launch(f'iceoryx2src name=src service="{service}" {properties} ! {sink}')
    if video_meta:
        receiver.take_video_meta()
    receiver.state(state, timeout=0)
