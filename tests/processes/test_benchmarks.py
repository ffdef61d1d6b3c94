"""The benchmarks run, and their output has the form that the documentation needs; speed is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import svg
from benchmarks.charts import Chart
from benchmarks.python_meter import COUNTED, END, Seen, write_stamp
from benchmarks.rounds import Finding, interleave, worst
from gst_iceoryx2._plugin import gstreamer_version

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "crates/gst/examples/bench"


@pytest.fixture
def program() -> Path:
    """The native program, if `cargo test` or a benchmark has compiled it."""
    if gstreamer_version() is None:
        pytest.skip("there is no GStreamer")
    newest = max(source.stat().st_mtime for source in SOURCES.rglob("*.rs"))
    for kind in ("release", "debug"):
        compiled = ROOT / "target" / kind / "examples/bench"
        if compiled.exists() and compiled.stat().st_mtime > newest:
            return compiled
    pytest.skip("the example is not compiled: cargo build -p iox2-video --example bench")


def test_a_tiny_benchmark_prints_writes_and_draws_what_it_found(program: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    options = ["--only", "latency", "--quick", "--rounds", "1", "--frames", "5"]
    ways = ["--ways", "iceoryx2 → Python", "shared_memory"]
    files = ["--program", str(program), "--json", str(results), "--plots", str(tmp_path), "--markdown"]
    command = [sys.executable, "-m", "benchmarks", *options, *ways, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)

    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(results.read_text())
    assert data["machine"]["processors"] >= 1
    found = data["benchmarks"]["latency"]
    for way in ("iceoryx2, 640×480", "iceoryx2 → Python, 1920×1080", "shared_memory ring, 1920×1080"):
        for time in ("p50", "p95", "p99"):
            assert found["series"][f"{way}, {time}"]["median"] > 0
    findings = found["findings"]
    for finding in findings.values():
        assert set(finding) == {"value", "low", "high", "unit", "limit", "is least", "holds"}
    assert findings["frames torn, of all our ways"]["value"] == 0
    assert findings["frames duplicated, of all our ways"]["value"] == 0
    assert "| iceoryx2: 3840×2160 to 640×480 |" in done.stdout
    ElementTree.parse(tmp_path / "benchmark-latency.svg")


@pytest.mark.proves("D2")
def test_the_benchmark_of_served_streams_finds_nothing_left_and_no_camera_open(tmp_path: Path) -> None:
    pytest.importorskip("av")
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.serve", "--quick", "--only", "idle", "start", "cycles"]
    done = subprocess.run([*command, "--json", str(results)], cwd=ROOT, capture_output=True, text=True, timeout=250)

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())
    assert found["idle"]["findings"]["open cameras"]["value"] == 0
    for leftover in found["cycles"]["findings"].values():
        assert leftover["value"] == 0, found["cycles"]
    starts = found["start"]["series"]
    assert len(starts) == 3
    assert all(one["median"] > 0 for one in starts.values())


def test_numbers_in_the_pixels_tell_what_was_lost_torn_or_came_twice(capsys: pytest.CaptureFixture[str]) -> None:
    seen, pixels = Seen(), memoryview(bytearray(64))
    for number in (0, 1, 1, 4):
        write_stamp(pixels, COUNTED, number, sent=10)
        assert not seen.is_last(pixels, 30)
    pixels[-1] ^= 1
    assert not seen.is_last(pixels, 30)
    write_stamp(pixels, END, 7, sent=40)
    assert seen.is_last(pixels, 50)

    result = json.loads(seen.line())
    assert (result["frames"], result["lost"], result["duplicated"], result["torn"]) == (3, 4, 2, 1)
    assert result["latency_p50_ns"] == 20


def test_a_limit_may_be_one_that_has_to_be_reached() -> None:
    most, least = Finding("a", 2, 2, 2, limit=1), Finding("b", 2, 2, 2, limit=1, is_least=True)

    assert (most.holds, least.holds) == (False, True)
    (chosen,) = worst([least, Finding("c", 0.5, 0.5, 0.5, limit=1, is_least=True)])
    assert chosen.name == "c (worst of 2)"


def test_a_way_that_fails_is_left_out_and_the_others_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> dict[str, float]:
        raise RuntimeError("no server")

    assert interleave({"ours": lambda: {"a": 1.0}, "peer": fail}, 2, {"peer"}) == {"ours": [{"a": 1.0}] * 2}
    assert "peer: no server" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="no server"):
        interleave({"ours": fail}, 1)


def test_a_chart_of_nothing_but_zeros_can_be_drawn(tmp_path: Path) -> None:
    for is_log in (False, True):
        assert svg.write([Chart("x", "T", "a frame", {"a": {"copies": 0.0}}, is_log)], tmp_path)


@pytest.mark.parametrize("is_line", [True, False])
@pytest.mark.parametrize("is_log", [True, False])
def test_every_value_of_a_chart_is_drawn_within_the_picture(tmp_path: Path, is_line: bool, is_log: bool) -> None:
    values = {"a < b": {"small": 0.3, "large": 70_000.0}, "nothing": {"small": 0.0}}
    (file,) = svg.write([Chart("x", "T & U", "µs", values, is_log, is_line)], tmp_path)

    picture = ElementTree.parse(file).getroot()
    width, height = float(picture.get("width", "0")), float(picture.get("height", "0"))
    space = "{http://www.w3.org/2000/svg}"
    marks = list(picture.iter(f"{space}circle" if is_line else f"{space}rect"))
    assert len(marks) >= 3
    for mark in marks:
        right = float(mark.get("cx") or float(mark.get("x", "0")) + float(mark.get("width", "0")))
        assert 0 <= right <= width
        assert 0 <= float(mark.get("cy") or mark.get("y") or -1) <= height
    assert "a < b" in {text.text for text in picture.iter(f"{space}text")}
