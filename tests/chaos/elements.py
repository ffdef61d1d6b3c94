"""Participants with GStreamer: pipelines whose frames are stamped and checked in their streaming threads."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import Any, Final

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: F401 (GstApp: methods of appsink)

from tests.chaos.buffers import MappedBuffer, is_discontinuity, mapped, probe
from tests.chaos.pattern import check, fill
from tests.chaos.role import Numbering, Report, Role, Shape
from tests.chaos.tally import Count, FaultError, Tally

_PULL: Final = 100 * Gst.MSECOND
_ARRIVAL: Final = 0.1
_NOTHING_PENDING: Final = Gst.State.VOID_PENDING
_STATE_PATIENCE: Final = 30 * Gst.SECOND


class _Pipeline(Role):
    """A role that is a pipeline; an error in its streaming threads or on its bus ends it."""

    def __init__(self, spec: dict[str, Any], report: Report) -> None:
        super().__init__(spec, report)
        self._pipeline: Any = None
        self._probes: list[object] = []
        self._error: Exception | None = None

    def _launch(self, text: str) -> None:
        self._pipeline = Gst.parse_launch(text)

    def _element(self, name: str) -> Any:
        return self._pipeline.get_by_name(name)

    def _watch(self, pad: Any, look: Any) -> None:
        def guarded(buffer: int) -> None:
            try:
                look(buffer)
            except Exception as error:
                self._error = self._error or error

        self._probes.append(probe(pad, guarded))

    def _go(self, state: Any) -> None:
        result = self._pipeline.set_state(state)
        if result == Gst.StateChangeReturn.ASYNC and state == Gst.State.NULL:
            result, _, _ = self._pipeline.get_state(_STATE_PATIENCE)
        if result == Gst.StateChangeReturn.FAILURE:
            self._look_at_bus()
            raise AssertionError(f"the pipeline does not go to {state.value_nick}")

    def _look_at_bus(self, wait: int = 0) -> bool:
        """Return whether the stream has ended; raise the pipeline's error."""
        if self._error is not None:
            raise self._error
        wanted = Gst.MessageType.ERROR | Gst.MessageType.EOS
        message = self._pipeline.get_bus().timed_pop_filtered(wait, wanted)
        if message is not None and message.type == Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            raise AssertionError(f"{message.src.get_name()}: {error.message} ({debug})")
        return message is not None

    def _end(self) -> None:
        self.phase("closing")
        self._go(Gst.State.NULL)
        self._pipeline = None
        self._probes.clear()
        if self._error is not None:
            raise self._error


class Sink(_Pipeline):
    """videotestsrc into `iceoryx2sink`; each frame is stamped in place.

    Frames pass by reference; with the habit "tee" they are copied, because another branch reads them.
    """

    def live(self) -> None:
        self.phase("opening")
        shape = self.other_shape()
        numbering = Numbering(self.rng)
        element = f'iceoryx2sink name=sink sync=false service="{self.service}" lossless={str(self.lossless).lower()}'
        branches = element
        if self.habit == "tee":
            own = "appsink name=own async=false sync=false wait-on-eos=false max-buffers=4 drop=true"
            branches = f"tee name=t ! {element} t. ! queue ! {own} enable-last-sample=false"
        source = f'videotestsrc is-live=true pattern=black ! capsfilter name=caps caps="{self._caps(shape)}"'
        self._launch(f"{source} ! {branches}")
        sink = self._element("sink")

        def stamp(buffer: int) -> None:
            # In the streaming thread, so the sink has finished the previous frame.
            with mapped(buffer, write=True) as pixels:
                fill(pixels, numbering.next(len(pixels), sink.get_property("frames-dropped")))
            self.counters["frames"] += 1
            self.phase("sending")

        self._watch(self._element("caps").get_static_pad("src"), stamp)
        self._go(Gst.State.PLAYING)
        self._play()
        # GStreamer hangs if EOS is sent to a live pipeline before it is PLAYING.
        is_playing = self._pipeline.get_state(0) == (Gst.StateChangeReturn.SUCCESS, Gst.State.PLAYING, _NOTHING_PENDING)
        if is_playing and self.rng.random() < 0.5:
            self.phase("closing")
            self._pipeline.send_event(Gst.Event.new_eos())
            if not self.lossless and not self._look_at_bus(_STATE_PATIENCE):
                self.fault(f"no end of stream within {_STATE_PATIENCE // Gst.SECOND} s")
        self.counters["copied"] = self.counters.get("copied", 0) + sink.get_property("frames-copied")
        self._end()

    def _play(self) -> None:
        left = self.lifetime() / self.rate
        end = time.monotonic() + left
        own = self._element("own")
        while not self.stop.is_set() and time.monotonic() < end:
            self._look_at_bus()
            self.look_at_held()
            if own is not None and (sample := own.emit("try-pull-sample", _PULL)) is not None:
                buffer = MappedBuffer(hash(sample.get_buffer()))
                self.hold(0.5, buffer.pixels, check(buffer.pixels), buffer)
                self.counters["checked"] += len(buffer.pixels)
            else:
                self.stop.wait(0.1)
            if self.rng.random() < 0.01:
                caps = Gst.Caps.from_string(self._caps(self.other_shape()))
                self._element("caps").set_property("caps", caps)
        self.look_at_held(everything=True)

    def _caps(self, shape: Shape) -> str:
        rate = round(self.rate)
        return f"video/x-raw,format={shape.format},width={shape.width},height={shape.height},framerate={rate}/1"


class Source(_Pipeline):
    """`iceoryx2src` into an application that checks every byte, holds some frames and checks them again."""

    def __init__(self, spec: dict[str, Any], report: Report) -> None:
        super().__init__(spec, report)
        self._tally = Tally()
        self._waiting_since = 0

    def live(self) -> None:
        self.phase("opening")
        leaky = "leaky-type=downstream" if self.habit == "latest" else ""
        # Not an appsink, which would keep the last frame, and so the service.
        self._launch(
            f'iceoryx2src name=src service="{self.service}" {leaky} ! '
            "fakesink name=out sync=false enable-last-sample=false async=false"
        )
        self._tally = Tally()
        self._waiting_since = time.monotonic_ns()
        self._watch(self._element("src").get_static_pad("src"), self._look)
        # Unbounded, so the streaming thread never waits for the application.
        self._arrived: SimpleQueue[MappedBuffer] = SimpleQueue()
        self._watch(self._element("out").get_static_pad("sink"), lambda buffer: self._arrived.put(MappedBuffer(buffer)))
        self._go(Gst.State.PLAYING)
        self.phase("waiting")
        self._receive()
        self._end()

    def _look(self, buffer: int) -> None:
        """Check a buffer in the streaming thread, where the element's counters belong to this buffer."""
        received = time.monotonic_ns()
        with mapped(buffer) as pixels:
            stamp = check(pixels)
            self.counters["checked"] += len(pixels)
        src = self._element("src")
        count = Count(src.get_property("frames-dropped"), src.get_property("frames-skipped"))
        gaps, lost = self._tally.gaps, self._tally.lost
        is_new = self._tally.note(stamp, count)
        if self._tally.gaps > gaps and not is_discontinuity(buffer):
            missing = self._tally.gaps - gaps
            raise FaultError(f"{missing} frames are missing before number {stamp.number} without DISCONT")
        if self._tally.lost > lost and not is_discontinuity(buffer):
            self.counters["undiscontinued"] = self.counters.get("undiscontinued", 0) + 1
        if self.lossless and count.dropped > self._tally.late:
            missing = count.dropped - self._tally.late
            raise FaultError(f"{missing} frames of a lossless publisher are missing before number {stamp.number}")
        if src.get_property("frames-invalid"):
            raise FaultError("a frame was refused")
        if self._waiting_since < stamp.filled:
            self.delays.append(received - stamp.filled)
        if is_new and self._waiting_since < stamp.born:
            self.report({"resumed": (received - stamp.born) / 1e9, "number": stamp.number})
        self.counters["frames"] += 1
        self.counters["dropped"], self.counters["skipped"] = count
        self._waiting_since = time.monotonic_ns()
        self.phase("waiting")

    def _receive(self) -> None:
        left = self.lifetime()
        while not self.stop.is_set() and left > 0:
            if self._look_at_bus():
                # The publisher ended the stream; the next publisher starts another.
                return
            self.look_at_held()
            try:
                buffer = self._arrived.get(timeout=_ARRIVAL)
            except Empty:
                continue
            left -= 1
            if self.rng.random() < 0.1 and self.holding < 3:
                self.hold(self.rng.uniform(0.0, 2.0), buffer.pixels, check(buffer.pixels), buffer)
            elif self.habit == "hoard" and self.holding < 30:
                # Frames above the borrow limit are copies.
                self.hold(self.rng.uniform(2.0, 4.0), buffer.pixels, check(buffer.pixels), buffer)
            # A held frame keeps the service and its QoS.
            del buffer
            if self.habit == "lag" and self.rng.random() < 0.02:
                self.stop.wait(self.rng.uniform(0.2, 1.5))
            if not self.is_steady and self.rng.random() < 0.005:
                self._pause()

    def _pause(self) -> None:
        self.phase("idle")
        self._go(Gst.State.PAUSED)
        self.rest(self.rng.uniform(0.0, 1.0))
        self._waiting_since = time.monotonic_ns()
        self._go(Gst.State.PLAYING)
        self.phase("waiting")


Gst.init(None)
