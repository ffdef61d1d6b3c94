"""Services are listed as devices while they exist, and each device makes a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gi
import pytest

gi.require_version("Gst", "1.0")
from gi.repository import Gst

from tests.gst.pairs import Stages, sender_of
from tests.transport.raw import RawPublisher
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.gst.stage import Stage

NAMES = ["video/left/frame/v2", "video/right cam/frame/v2"]


def watch_devices(stage: Stage) -> None:
    """Start to watch for devices."""
    monitor = Gst.DeviceMonitor.new()
    monitor.add_filter("Source/Video", None)
    assert monitor.start()
    stage.kept["monitor"] = [monitor]


def devices(stage: Stage) -> list[str]:
    """Return the names of the services that are listed as devices."""
    (monitor,) = stage.kept["monitor"]
    found = [device.get_display_name() for device in monitor.get_devices() if _is_ours(device)]
    return sorted(found)


def play_device(stage: Stage, service: str) -> None:
    """Play the source that the device of this service makes."""
    (monitor,) = stage.kept["monitor"]
    (device,) = [device for device in monitor.get_devices() if device.get_display_name() == service]
    source, sink = device.create_element("src"), Gst.ElementFactory.make("appsink", "out")
    sink.set_property("sync", False)
    pipeline = Gst.Pipeline.new(None)
    pipeline.add(source)
    pipeline.add(sink)
    assert source.link(sink)
    stage.pipelines["p"] = pipeline
    pipeline.set_state(Gst.State.PLAYING)


def stop_watching(stage: Stage) -> None:
    for monitor in stage.kept.pop("monitor"):
        monitor.stop()


def _is_ours(device: Gst.Device) -> bool:
    properties = device.get_properties()
    return properties is not None and properties.has_field("iceoryx2.service")


@pytest.mark.proves("E3")
def test_services_are_devices_as_long_as_they_are_there(stages: Stages, environment: dict[str, str]) -> None:
    """A name with control characters is not listed, because no source can be made of it."""
    viewer = stages()
    odd = RawPublisher("video/\x1b[2J/frame/v2")
    viewer.run(watch_devices)
    assert viewer.run(devices) == []
    senders = [sender_of(stages, name, "") for name in NAMES]
    for number, sender in enumerate(senders):
        sender.push("GRAY8", 16 + number, 16)
    wait_until(lambda: viewer.run(devices) == NAMES)
    viewer.run(play_device, service=NAMES[1])
    assert viewer.pull()["width"] == 17
    viewer.drop()
    senders[0].drop()
    wait_until(lambda: viewer.run(devices) == NAMES[1:])
    viewer.run(stop_watching)
    odd.close()
