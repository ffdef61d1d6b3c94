"""What plans share: their registration, and pipelines beside a snippet."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

from tests.processes.markdown import Snippet
from tests.processes.programs import Program, Programs
from tests.waiting import wait_until

CAMERA = "video/cam0/frame/v2"

# A test cannot look at a window, run a camera indefinitely, or use the network.
# A sink that prints each frame replaces the window.
SUBSTITUTES = {
    # With -e, Ctrl-C ends the stream before the pipeline stops.
    "gst-launch-1.0 ": "gst-launch-1.0 -e -v ",
    "autovideosink": "fakesink silent=false",
    "! fakesink\n": "! fakesink silent=false\n",
    "videotestsrc is-live=true !": "videotestsrc is-live=true num-buffers=30 !",
}

Plan = Callable[[Programs, Snippet], None]
PLANS: dict[str, Plan] = {}


def runs(*marks: str) -> Callable[[Plan], Plan]:
    """Register the decorated function for snippets that contain one of these texts; "```" is the end of a snippet."""

    def register(plan: Plan) -> Plan:
        PLANS.update(dict.fromkeys(marks, plan))
        return plan

    return register


def launch(programs: Programs, lines: str, *, is_endless: bool = False) -> list[Program]:
    """Start each line as a process, receivers first; an endless test picture is for `ends_after`."""
    programs.use_plugin()
    for written, instead in SUBSTITUTES.items():
        lines = lines.replace(written, instead)
    if is_endless:
        lines = lines.replace("num-buffers=30", "num-buffers=-1")
    ordered = sorted(lines.strip().splitlines(), key=lambda line: "iceoryx2src" not in line)
    return [programs.shell(f"exec {line}") for line in ordered]


def seen(printed: str) -> int:
    """The number of frames that reached a printing fakesink."""
    return len(re.findall(r"last-message = chain ", printed))


def camera_pipeline(programs: Programs) -> Program:
    """Start a pipeline that publishes a test picture until `ends_after`."""
    line = f"gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,format=BGR ! iceoryx2sink service={CAMERA}\n"
    return launch(programs, line, is_endless=True)[0]


def ends_after(camera: Program, condition: Callable[[], object]) -> None:
    """End the stream of an endless pipeline when a condition holds, however late its readers are."""
    wait_until(condition)
    camera.process.send_signal(signal.SIGINT)
    camera.finish()


def stop(*programs: Program) -> None:
    """Stop programs by Ctrl-C, one after the other, whatever they print and return."""
    for program in programs:
        program.process.send_signal(signal.SIGINT)
        program.process.wait(60)
