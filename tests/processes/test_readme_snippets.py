"""Every snippet of the documentation runs as a newcomer would run it: pasted, in a process of its own.

A plan says how a snippet runs. A snippet without a plan fails, and so does a plan without a snippet.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gst_iceoryx2._plugin import gstreamer_version
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.conftest import Place
from tests.processes.markdown import Snippet, snippets
from tests.processes.plans import CAMERA, PLANS, Plan
from tests.processes.programs import ROOT, Programs
from tests.waiting import wait_until

DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    Path(__file__).with_name("promised_snippets.md"),
]
ALL = [snippet for document in DOCUMENTS for snippet in snippets(document)]


@pytest.fixture
def programs(tmp_path: Path, domain: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    # All tests share one registry, because creating it takes longer than most tests.
    running = Programs(tmp_path, tmp_path_factory.getbasetemp() / "registry.bin")
    yield running
    running.end()


def plan_of(snippet: Snippet) -> Plan:
    found = [plan for mark, plan in PLANS.items() if mark in f"{snippet.text}```"]
    assert len(found) == 1, f"{len(found)} plans know how to run {snippet}:\n{snippet.text}"
    return found[0]


@pytest.mark.parametrize("snippet", [s for s in ALL if s.language in ("python", "sh")], ids=str)
def test_a_snippet_runs(programs: Programs, snippet: Snippet) -> None:
    wants_gstreamer = re.search(r"gst-|Gst\b|setup_gstreamer|plugin-path", snippet.text)
    if wants_gstreamer and gstreamer_version() is None:
        pytest.skip("there is no GStreamer on this machine")
    plan_of(snippet)(programs, snippet)


def test_every_plan_has_its_snippet() -> None:
    texts = "".join(f"{snippet.text}```" for snippet in ALL)
    assert [mark for mark in PLANS if mark not in texts] == []


def test_there_are_no_other_fenced_blocks() -> None:
    """A block that must not run is indented instead."""
    assert {snippet.language for snippet in ALL} == {"python", "sh", "rust"}


# -- Rust ------------------------------------------------------------------------------------------------------------

RUST_PROGRAMS = sorted(
    path for crate in ("core", "gst") for path in (ROOT / "crates" / crate / "examples").glob("*.rs")
)


def squeezed(code: str) -> str:
    """The code without the characters that rustfmt may change."""
    return re.sub(r",(?=[)}\]])", "", re.sub(r"\s+", "", code))


@pytest.mark.parametrize("snippet", [s for s in ALL if s.language == "rust"], ids=str)
def test_a_rust_snippet_is_part_of_a_program_that_is_compiled_and_run(snippet: Snippet) -> None:
    # A snippet shows imports next to code; in the program they are further apart.
    parts = re.split(r"\n\n", snippet.text.strip())
    programs = [path.stem for path in RUST_PROGRAMS if all(squeezed(p) in squeezed(path.read_text()) for p in parts)]
    assert programs, f"none of {[path.stem for path in RUST_PROGRAMS]} contains\n{snippet.text}"
    assert {"publish", "subscribe", "pipeline_sink", "pipeline_source", "sink_config"} & set(programs)


@pytest.mark.timeout(600)
def test_the_rust_programs_of_the_elements_run(programs: Programs) -> None:
    """The tests of the core crate run its own programs."""
    native = shutil.which("cargo") is not None and gstreamer_version() is not None
    if not native and os.environ.get("IOX2_VIDEO_NATIVE") != "require":
        pytest.skip("there is no cargo or no GStreamer on this machine")
    # The features of `cargo test --workspace --all-features` avoid a second compilation.
    build = ["cargo", "build", "--quiet", "--workspace", "--all-features", "--examples"]
    subprocess.run(build, cwd=ROOT, check=True)
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "examples"
    programs.environment["GST_PLUGIN_FEATURE_RANK"] = "fakevideosink:MAX"
    assert "publishes on video/cam0/frame/v2" in programs.start(str(folder / "sink_config")).finish()
    source = programs.start(str(folder / "pipeline_source"))
    sink = programs.start(str(folder / "pipeline_sink"))
    with VideoFrameSubscriber(CAMERA) as subscriber:
        assert next(iter(subscriber)).numpy_view().shape == (640, 640, 3)
    sink.finish()
    source.finish()
    wait_until(lambda: source.process.poll() == 0)
