"""Functions that run in a stage, called with `Stage.run`."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo

from tests.gst import cmetas
from tests.gst.pictures import Layout, picture
from tests.gst.stage import default_layout, describe

if TYPE_CHECKING:
    from tests.gst.stage import Stage

STILL = "pattern=smpte75"
# Moving colours and shapes, the same in every run.
MOVING = "pattern=chroma-zone-plate kx2=20 ky2=20 kt=1"


def formats_of(stage: Stage, element: str, pad: str) -> list[str]:
    """Return the formats in the template of an element's pad."""
    found = Gst.ElementFactory.make(element).get_pad_template(pad).get_caps().get_structure(0).get_list("format")[1]
    return [found.get_nth(index) for index in range(found.n_values)]


def play(stage: Stage, text: str, frames: int, to: str) -> dict[str, Any]:
    """Play `frames` frames into an appsink, then the same into the element `to`. Return what the appsink got."""
    reference = Gst.parse_launch(f"{text} ! appsink name=out sync=false")
    reference.set_state(Gst.State.PLAYING)
    seen = []
    while sample := reference.get_by_name("out").emit("try-pull-sample", 60 * Gst.SECOND):
        seen.append(describe(sample.get_buffer(), sample.get_caps()))
    reference.set_state(Gst.State.NULL)
    assert len(seen) == frames, seen
    pipeline = Gst.parse_launch(f"{text} ! {to}")
    pipeline.set_state(Gst.State.PLAYING)
    bus = pipeline.get_bus()
    message = bus.timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    assert message is not None, "no end"
    assert message.type == Gst.MessageType.EOS, message.parse_error()
    sink = pipeline.get_by_name("sink")
    counts = {kind: sink.get_property(f"frames-{kind}") for kind in ("sent", "zero-copy", "copied", "dropped")}
    pipeline.set_state(Gst.State.NULL)
    return {"frames": seen, "counts": counts}


def still(stage: Stage, formats: list[str], width: int, height: int) -> dict[str, Any]:
    """Return the still pattern of videotestsrc in each format."""
    made = {}
    for format in formats:
        caps = f"video/x-raw,format={format},width={width},height={height}"
        pipeline = Gst.parse_launch(f"videotestsrc num-buffers=1 {STILL} ! {caps} ! appsink name=out sync=false")
        pipeline.set_state(Gst.State.PLAYING)
        sample = pipeline.get_by_name("out").emit("try-pull-sample", 60 * Gst.SECOND)
        made[format] = describe(sample.get_buffer(), sample.get_caps())
        pipeline.set_state(Gst.State.NULL)
    return made


def parade(stage: Stage, formats: list[str], sizes: list[list[int]], name: str = "p") -> None:
    """Set the capsfilter ``caps`` to all formats and sizes in turn, for at least two frames each."""
    pad = stage.element("sink", name).get_static_pad("sink")
    seen: collections.Counter[tuple[str, int]] = collections.Counter()
    changed = threading.Condition()

    def note(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        structure = pad.get_current_caps().get_structure(0)
        with changed:
            seen[structure.get_string("format"), structure.get_int("width").value] += 1
            changed.notify()
        return Gst.PadProbeReturn.OK

    probe = pad.add_probe(Gst.PadProbeType.BUFFER, note)
    for width, height in sizes:
        for format in formats:
            text = f"video/x-raw,format={format},width={width},height={height}"
            stage.set("caps", "caps", Gst.Caps.from_string(text), name)
            with changed:
                assert changed.wait_for(lambda: seen[format, width] >= 2, 60), text  # noqa: B023 (called at once)
    pad.remove_probe(probe)
    stage.pipelines[name].send_event(Gst.Event.new_eos())


def collect(stage: Stage, name: str = "p", element: str = "out") -> list[dict[str, Any]]:
    """Return every frame up to the end of the stream."""
    sink = stage.element(element, name)
    frames = []
    while sample := sink.emit("try-pull-sample", 60 * Gst.SECOND):
        frames.append(describe(sample.get_buffer(), sample.get_caps()))
    assert sink.get_property("eos")
    return frames


def push_nothing(stage: Stage, caps: str, size: int = 0, element: str = "in") -> str:
    """Push a buffer of `size` bytes, or one without any memory."""
    buffer = Gst.Buffer.new_allocate(None, size, None) if size else Gst.Buffer.new()
    sample = Gst.Sample.new(buffer, Gst.Caps.from_string(caps), None, None)
    result: str = stage.element(element).emit("push-sample", sample).value_nick
    return result


def push_from_pool(
    stage: Stage,
    format: str,
    width: int,
    height: int,
    padding: list[int],
    stride_align: int,
    custom_metas: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Get the sink's pool with this alignment, render picture 5 into one of its buffers, and push it.

    Args:
        padding: Top, bottom, left and right.
    """
    text = f"video/x-raw,format={format},width={width},height={height},framerate=30/1,interlace-mode=progressive"
    caps = Gst.Caps.from_string(text)
    source = stage.element("in")
    source.set_property("caps", caps)
    # The sink has a publisher, and therefore a pool, after caps and a frame.
    deadline = time.monotonic() + 60
    before = stage.get("sink", "frames-sent")
    stage.push(format, width, height, number=4)
    while stage.get("sink", "frames-sent") == before:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    pool, size = pool_of(stage, caps)
    config = pool.get_config()
    Gst.BufferPool.config_set_params(config, caps, size, 0, 0)
    for option in ("GstBufferPoolOptionVideoMeta", "GstBufferPoolOptionVideoAlignment"):
        Gst.BufferPool.config_add_option(config, option)
    cmetas.set_video_alignment(hash(config), padding, stride_align)
    assert pool.set_config(config)
    assert pool.set_active(True)
    flow, buffer = pool.acquire_buffer(None)
    assert flow == Gst.FlowReturn.OK
    meta = GstVideo.buffer_get_video_meta(buffer)
    planes = meta.n_planes
    layout = Layout(tuple(meta.stride[:planes]), tuple(meta.offset[:planes]), buffer.get_size())
    buffer.fill(0, picture(format, width, height, layout, 5))
    for name, fields in (custom_metas or {}).items():
        cmetas.add_custom_meta(hash(buffer), name, fields)
    # Blocked until this function has dropped its reference: only then can the sink send the buffer without a copy.
    pad = source.get_static_pad("src")
    gate = pad.add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BLOCK, lambda *_: Gst.PadProbeReturn.OK)
    result = source.emit("push-buffer", buffer)
    del buffer, meta
    pad.remove_probe(gate)
    return {"flow": result.value_nick, "strides": list(layout.strides), "offsets": list(layout.offsets)}


def pool_of(stage: Stage, caps: Gst.Caps, element: str = "sink") -> tuple[Gst.BufferPool, int]:
    """Return the pool that a sink proposes, and the size of its buffers."""
    query = Gst.Query.new_allocation(caps, True)
    assert stage.element(element).get_static_pad("sink").query(query)
    pool, size, *_ = query.parse_nth_allocation_pool(0)
    return pool, size


def default_layout_of(stage: Stage, format: str, width: int, height: int) -> dict[str, Any]:
    """Return GStreamer's layout of such a picture."""
    layout = default_layout(format, width, height)
    return {"strides": list(layout.strides), "offsets": list(layout.offsets), "size": layout.size}


def pull_reference_time(stage: Stage, reference: str | None = None, element: str = "out") -> list[Any] | None:
    """Return the reference timestamp of the next frame for these caps, or for any caps."""
    buffer = stage.element(element).emit("try-pull-sample", 60 * Gst.SECOND).get_buffer()
    meta = buffer.get_reference_timestamp_meta(reference and Gst.Caps.from_string(reference))
    return meta and [meta.reference.to_string(), meta.timestamp]


def query_caps(stage: Stage, element: str, pad: str) -> str:
    """Return a pad's answer to a caps query."""
    text: str = stage.element(element).get_static_pad(pad).query_caps(None).to_string()
    return text


def wait_for(stage: Stage, element: str, prop: str, value: int, timeout: float = 60.0) -> int:
    """Wait until a number has reached `value`, and return it."""
    deadline = time.monotonic() + timeout
    while (now := stage.get(element, prop)) < value:
        assert time.monotonic() < deadline, f"{prop} is {now}"
        time.sleep(0.002)
    return int(now)


def frames_of(stage: Stage, text: str) -> list[str]:
    """Return the digest of each frame of a pipeline."""
    pipeline = Gst.parse_launch(f"{text} ! appsink name=out sync=false")
    pipeline.set_state(Gst.State.PLAYING)
    seen = []
    while sample := pipeline.get_by_name("out").emit("try-pull-sample", 60 * Gst.SECOND):
        seen.append(describe(sample.get_buffer(), sample.get_caps())["digest"])
    pipeline.set_state(Gst.State.NULL)
    return seen


def run_to_the_end(stage: Stage, text: str) -> None:
    """Play a pipeline to its end."""
    pipeline = Gst.parse_launch(text)
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    assert message is not None
    assert message.type == Gst.MessageType.EOS, message.get_structure().to_string()


def is_forgotten_in_pause(stage: Stage, element: str) -> bool:
    """Whether a pipeline stays in PAUSED on its way to PLAYING although its sink has finished the change."""
    result, _, _ = stage.pipelines["p"].get_state(Gst.SECOND)
    settled = stage.element(element).get_state(0)
    paused = (Gst.StateChangeReturn.SUCCESS, Gst.State.PAUSED, Gst.State.VOID_PENDING)
    return result == Gst.StateChangeReturn.ASYNC and tuple(settled) == paused


def restart_behind_a_block(stage: Stage, element: str) -> None:
    """Set one element to NULL and back while its pipeline plays."""
    target = stage.element(element)
    peer = target.get_static_pad("sink").get_peer()
    blocked = threading.Event()

    def block(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        blocked.set()
        return Gst.PadProbeReturn.OK

    probe = peer.add_probe(Gst.PadProbeType.BLOCK_DOWNSTREAM, block)
    assert blocked.wait(60)
    target.set_state(Gst.State.NULL)
    target.sync_state_with_parent()
    peer.remove_probe(probe)


def _when_idle(pad: Gst.Pad, act: Callable[[], None]) -> None:
    """Call `act` while no buffer passes a pad, and wait for it."""
    done = threading.Event()

    def idle(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        act()
        done.set()
        return Gst.PadProbeReturn.REMOVE

    pad.add_probe(Gst.PadProbeType.IDLE, idle)
    assert done.wait(60)


def _add(stage: Stage, text: str, video_meta: bool) -> Gst.Element:
    """Put an element into the running pipeline."""
    element = Gst.parse_launch(text)
    pipeline = stage.pipelines["p"]
    pipeline.add(element)
    if video_meta:
        stage.take_video_meta(element.get_name())
    return element


def add_branch(stage: Stage, tee: str, text: str, video_meta: bool = False) -> None:
    """Add an element behind a tee of the running pipeline, between two buffers."""
    source = stage.element(tee).get_static_pad("sink").get_peer()

    def add() -> None:
        branch = _add(stage, text, video_meta)
        assert stage.element(tee).link(branch)
        branch.sync_state_with_parent()

    _when_idle(source, add)


def remove_branch(stage: Stage, tee: str, element: str) -> None:
    """Remove a branch that `add_branch` has added."""
    source = stage.element(tee).get_static_pad("sink").get_peer()

    def remove() -> None:
        branch = stage.element(element)
        pad = branch.get_static_pad("sink").get_peer()
        stage.element(tee).unlink(branch)
        stage.element(tee).release_request_pad(pad)
        stage.pipelines["p"].remove(branch)
        branch.set_state(Gst.State.NULL)

    _when_idle(source, remove)


def exchange(stage: Stage, behind: str, element: str, text: str, video_meta: bool) -> None:
    """Replace the last element of the running pipeline, which follows `behind`, between two buffers."""

    def replace() -> None:
        old = stage.element(element)
        stage.element(behind).unlink(old)
        stage.pipelines["p"].remove(old)
        old.set_state(Gst.State.NULL)
        new = _add(stage, text, video_meta)
        assert stage.element(behind).link(new)
        new.sync_state_with_parent()

    _when_idle(stage.element(behind).get_static_pad("src"), replace)


def resources(stage: Stage) -> dict[str, int]:
    """Count the threads, the threads of the elements, and the file descriptors of this process."""
    names = []
    for file in Path("/proc/self/task").glob("*/comm"):
        # A thread of GLib may end in between.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.append(file.read_text())
    ours = sum(name.startswith("iox2") for name in names)
    return {"threads": len(names), "ours": ours, "descriptors": len(os.listdir("/proc/self/fd"))}


def pull_some(stage: Stage, count: int, name: str = "p") -> None:
    """Pull `count` buffers of any kind."""
    for _ in range(count):
        assert stage.element("out", name).emit("try-pull-sample", 60 * Gst.SECOND) is not None


_may_end = threading.Event()


def hold_the_end(stage: Stage, element: str = "out", name: str = "p") -> None:
    """Block the end of the stream in an element until `let_it_end`."""

    def hold(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        if info.get_event().type == Gst.EventType.EOS:
            _may_end.wait(60)
        return Gst.PadProbeReturn.OK

    _may_end.clear()
    stage.element(element, name).get_static_pad("sink").add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, hold)


def let_it_end(stage: Stage) -> None:
    """Release the end of the stream."""
    _may_end.set()


def send_the_end(stage: Stage, name: str = "p") -> None:
    """End the stream, as `gst-launch-1.0 -e` does on Ctrl-C.

    Runs in a thread, because the call may return only after the end has been pushed downstream.
    """
    threading.Thread(target=stage.pipelines[name].send_event, args=[Gst.Event.new_eos()], daemon=True).start()


def push_numbers(stage: Stage, parts: int, frames: int, readers: int) -> None:
    """Push a number every 5 ms, in `parts` parts with different caps, once `readers` readers are connected."""
    source = stage.element("in")
    number = 0
    for part in range(parts):
        caps = Gst.Caps.from_string(f"application/x-count, part=(int){part}")
        if part == 0:
            # The first frame announces the caps. No reader can receive it.
            source.emit("push-sample", Gst.Sample.new(Gst.Buffer.new_wrapped(bytes(8)), caps, None, None))
            wait_for(stage, "sink", "num-clients", readers)
        for _ in range(frames):
            number += 1
            buffer = Gst.Buffer.new_wrapped(number.to_bytes(8, sys.byteorder))
            source.emit("push-sample", Gst.Sample.new(buffer, caps, None, None))
            time.sleep(0.005)
    source.emit("end-of-stream")
