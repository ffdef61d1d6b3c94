"""A process with GStreamer pipelines. The test controls it with lines of JSON on its standard streams.

Run as ``python -m tests.gst.stage``. A request is ``{"call": name, "args": […], "kwargs": {…}}``: a method of `Stage`,
or a function ``module:function`` that gets the stage first. The answer: ``{"result": …}`` or ``{"error": traceback}``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstApp, GstVideo  # noqa: F401 (GstApp: methods of appsrc and appsink)

from tests.gst import cmetas
from tests.gst.pictures import Layout, digest, padded_layout, picture

NONE = Gst.CLOCK_TIME_NONE


class Stage:
    """Pipelines by name, and the methods that a test calls."""

    def __init__(self) -> None:
        self.pipelines: dict[str, Gst.Pipeline] = {}
        self.kept: dict[str, list[Any]] = {}

    # Pipelines ------------------------------------------------------------------------------------------------

    def launch(self, text: str, name: str = "p") -> None:
        """Make a pipeline."""
        pipeline = Gst.parse_launch(text)
        if not isinstance(pipeline, Gst.Pipeline):
            whole = Gst.Pipeline.new(name)
            whole.add(pipeline)
            pipeline = whole
        self.pipelines[name] = pipeline

    def state(self, to: str, name: str = "p", timeout: float = 60.0) -> str:
        """Go to a state and return the outcome, for an asynchronous change after at most `timeout` seconds."""
        pipeline = self.pipelines[name]
        result = pipeline.set_state(getattr(Gst.State, to))
        if result == Gst.StateChangeReturn.ASYNC and timeout > 0:
            result = pipeline.get_state(int(timeout * Gst.SECOND))[0]
        nick: str = result.value_nick
        return nick

    def play(self, text: str, name: str = "p") -> None:
        """Make a pipeline and start it, without a wait until it plays."""
        self.launch(text, name)
        self.state("PLAYING", name, timeout=0)

    def drop(self, name: str = "p") -> None:
        """Stop a pipeline and forget it."""
        self.pipelines.pop(name).set_state(Gst.State.NULL)
        self.kept.pop(name, None)

    def element(self, element: str, name: str = "p") -> Gst.Element:
        found = self.pipelines[name].get_by_name(element)
        if found is None:
            raise LookupError(f"no element {element} in {name}")
        return found

    def get(self, element: str, prop: str, name: str = "p") -> Any:
        return self.element(element, name).get_property(prop)

    def set(self, element: str, prop: str, value: Any, name: str = "p") -> None:
        self.element(element, name).set_property(prop, value)

    def message(self, kinds: list[str], name: str = "p", timeout: float = 60.0) -> dict[str, Any] | None:
        """Return the next message of these kinds (``error``, ``warning``, ``eos`` …), or None after the timeout."""
        mask = Gst.MessageType(0)
        for kind in kinds:
            mask |= getattr(Gst.MessageType, kind.upper())
        message = self.pipelines[name].get_bus().timed_pop_filtered(int(timeout * Gst.SECOND), mask)
        if message is None:
            return None
        answer = {"type": Gst.MessageType.get_name(message.type), "source": message.src.get_name()}
        if message.type == Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            answer |= {"text": error.message, "domain": error.domain, "code": error.code, "debug": debug}
        elif message.type == Gst.MessageType.WARNING:
            error, debug = message.parse_warning()
            answer |= {"text": error.message, "debug": debug}
        return answer

    def take_video_meta(self, element: str = "out", name: str = "p") -> None:
        """Let a sink support GstVideoMeta. An appsink does not by itself, and gets default strides."""

        def answer(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
            query = info.get_query()
            if query.type != Gst.QueryType.ALLOCATION:
                return Gst.PadProbeReturn.OK
            cmetas.propose_video_meta(hash(query))
            return Gst.PadProbeReturn.HANDLED

        pad = self.element(element, name).get_static_pad("sink")
        pad.add_probe(Gst.PadProbeType.QUERY_DOWNSTREAM, answer)

    # Frames in ------------------------------------------------------------------------------------------------

    def push(
        self,
        format: str,
        width: int,
        height: int,
        *,
        number: int = 0,
        pad: int = 0,
        gap: int = 0,
        split: list[int] | None = None,
        lead: int = 0,
        meta: bool = True,
        packed: bool = False,
        caps: str = "framerate=(fraction)30/1",
        pts: int | None = None,
        duration: int | None = None,
        offset: int | None = None,
        dts: int | None = None,
        flags: int = 0,
        reference_times: list[list[Any]] | None = None,
        custom_metas: dict[str, str] | None = None,
        regions: list[list[Any]] | None = None,
        element: str = "in",
        name: str = "p",
    ) -> str:
        """Push one picture into an appsrc.

        Args:
            split: Sizes of the buffer's memories but the last; the whole picture in one by default.
            lead: Bytes before the picture in each memory, hidden by the memory's offset.
            meta: Whether a GstVideoMeta tells the layout (needed if it is not GStreamer's default).
            packed: Without a GstVideoMeta: rows without padding, instead of GStreamer's layout.
            custom_metas: Name to the text of its fields, e.g. ``{"Aim": "x=(int)5"}``.
            regions: Regions of interest: name, x, y, width and height.
        """
        layout = padded_layout(format, width, height, pad, gap)
        if not meta and not packed and pad == 0:
            layout = default_layout(format, width, height)
        data = picture(format, width, height, layout, number)
        buffer = Gst.Buffer.new()
        start = 0
        for size in [*(split or []), None]:
            part = data[start:] if size is None else data[start : start + size]
            start += len(part)
            memory = Gst.Buffer.new_wrapped(b"\xaa" * lead + part).get_memory(0)
            memory.resize(lead, len(part))
            buffer.append_memory(memory)
        if meta:
            spare = [0] * (4 - len(layout.offsets))
            GstVideo.buffer_add_video_meta_full(
                buffer,
                GstVideo.VideoFrameFlags.NONE,
                GstVideo.VideoFormat.from_string(format),
                width,
                height,
                len(layout.offsets),
                [*layout.offsets, *spare],
                [*layout.strides, *spare],
            )
        for reference, timestamp in reference_times or []:
            buffer.add_reference_timestamp_meta(Gst.Caps.from_string(reference), timestamp, NONE)
        for custom, text in (custom_metas or {}).items():
            cmetas.add_custom_meta(hash(buffer), custom, text)
        for region in regions or []:
            GstVideo.buffer_add_video_region_of_interest_meta(buffer, *region)
        for field, value in (("pts", pts), ("dts", dts), ("duration", duration), ("offset", offset)):
            if value is not None:
                setattr(buffer, field, value)
        if flags:
            buffer.set_flags(Gst.BufferFlags(flags))
        caps = f"video/x-raw,format=(string){format},width=(int){width},height=(int){height}" + (caps and "," + caps)
        sample = Gst.Sample.new(buffer, Gst.Caps.from_string(caps), None, None)
        return self.element(element, name).emit("push-sample", sample).value_nick

    def end(self, element: str = "in", name: str = "p") -> None:
        self.element(element, name).emit("end-of-stream")

    # Frames out -----------------------------------------------------------------------------------------------

    def pull(
        self, timeout: float = 60.0, *, keep: bool = False, element: str = "out", name: str = "p"
    ) -> dict[str, Any] | None:
        """Describe the next frame of an appsink: None after the timeout, ``{"eos": true}`` at the end of the stream."""
        sink = self.element(element, name)
        sample = sink.emit("try-pull-sample", int(timeout * Gst.SECOND))
        if sample is None:
            return {"eos": True} if sink.get_property("eos") else None
        if keep:
            self.kept.setdefault(name, []).append(sample)
        return describe(sample.get_buffer(), sample.get_caps())

    def count_kept(self, name: str = "p") -> int:
        return len(self.kept.get(name, []))

    def kept_digests(self, name: str = "p") -> list[str]:
        """Return the digests of the kept frames as they are now."""
        return [describe(sample.get_buffer(), sample.get_caps())["digest"] for sample in self.kept.get(name, [])]

    def release(self, count: int | None = None, name: str = "p") -> None:
        """Release kept frames, the oldest first."""
        kept = self.kept.get(name, [])
        del kept[: len(kept) if count is None else count]


def default_layout(name: str, width: int, height: int) -> Layout:
    """Return GStreamer's layout of such a picture."""
    info = GstVideo.VideoInfo()
    info.set_format(GstVideo.VideoFormat.from_string(name), width, height)
    planes = info.finfo.n_planes
    return Layout(tuple(info.stride[:planes]), tuple(info.offset[:planes]), info.size)


def describe(buffer: Gst.Buffer, caps: Gst.Caps) -> dict[str, Any]:
    """Describe a buffer."""
    info = GstVideo.VideoInfo.new_from_caps(caps)
    planes = info.finfo.n_planes
    width, height = info.width, info.height
    meta = GstVideo.buffer_get_video_meta(buffer)
    strides = list((meta or info).stride[:planes])
    offsets = list((meta or info).offset[:planes])
    memory = buffer.extract_dup(0, buffer.get_size())
    none = {Gst.CLOCK_TIME_NONE: None}
    return {
        "caps": caps.to_string(),
        "format": info.finfo.name,
        "width": width,
        "height": height,
        "strides": strides,
        "offsets": offsets,
        "video_meta": meta is not None,
        "size": buffer.get_size(),
        "memories": buffer.n_memory(),
        "readonly": [bool(buffer.peek_memory(i).mini_object.flags & 2) for i in range(buffer.n_memory())],
        "pts": none.get(buffer.pts, buffer.pts),
        "dts": none.get(buffer.dts, buffer.dts),
        "duration": none.get(buffer.duration, buffer.duration),
        "offset": None if buffer.offset == 2**64 - 1 else buffer.offset,
        "flags": int(buffer.get_flags()),
        "digest": digest(memory, info.finfo.name, width, height, strides, offsets),
        "metas": cmetas.metas_of(hash(buffer)),
    }


def _target(stage: Stage, name: str) -> Callable[..., Any]:
    module, colon, function = name.partition(":")
    if not colon:
        method: Callable[..., Any] = getattr(stage, name)
        return method
    chosen = getattr(importlib.import_module(module), function)
    return lambda **args: chosen(stage, **args)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Output of other code must not be read as an answer.
    os.dup2(2, 1)
    Gst.init(None)
    stage = Stage()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": _target(stage, request["call"])(*request.get("args", ()), **request["kwargs"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    for name in list(stage.pipelines):
        stage.drop(name)


if __name__ == "__main__":
    main()
