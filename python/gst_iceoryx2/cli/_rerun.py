"""`iox2-video view --rerun` and `--rerun-file`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from gst_iceoryx2.cli._outcome import Misused, refuse_options
from gst_iceoryx2.cli._params import only_services
from gst_iceoryx2.cli._run import run
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.cli._words import amount

if TYPE_CHECKING:
    from gst_iceoryx2.rerun import RerunReport, RerunStreamReport

# Options that concern the page or a snapshot.
_OTHERS: Final = ("port", "host", "tls", "token_file", "no_browser", "results_wait", "snapshot", "timeout")


def show_in_rerun(
    names: tuple[str, ...],
    file: Path | None,
    *,
    detectors: tuple[str, ...],
    max_fps: float,
    quality: int | None,
    waiting: list[str],
) -> None:
    """Show streams in a Rerun viewer, or write them to a Rerun file."""
    _check_options(file)
    only_services(names, "--rerun" if file is None else "--rerun-file")
    # Without the SDK, no viewer must be started.
    import gst_iceoryx2._extras.rerun  # noqa: F401
    from gst_iceoryx2.preview import DEFAULT_QUALITY
    from gst_iceoryx2.rerun import RerunView, RerunViewer

    target = RerunViewer() if file is None else file
    quality = quality or DEFAULT_QUALITY
    work = RerunView(names, target, results=detectors, max_fps=max_fps, quality=quality)
    for line in waiting:
        say(line)
    say("Press Ctrl-C to stop.")
    run(work, _progress, _summary)


def _check_options(file: Path | None) -> None:
    context = click.get_current_context()
    used = "--rerun" if file is None else "--rerun-file"
    if file is not None and context.get_parameter_source("rerun") is ParameterSource.COMMANDLINE:
        raise Misused("--rerun and --rerun-file cannot be combined; the viewer can save what it shows")
    refuse_options(_OTHERS, used)
    if file is not None and file.suffix != ".rrd":
        raise Misused(f"--rerun-file must end in .rrd, but is {str(file)!r}")


def _progress(report: RerunReport) -> str:
    size = "" if report.file is None else f"  {amount(report.size)}"
    return "  ".join(f"{stream.name} {stream.logged}" for stream in report.streams) + size


def _summary(report: RerunReport) -> list[str]:
    lines = [line for stream in report.streams for line in _of_stream(stream)]
    return [*lines, f"{report.file}: {amount(report.size)}"] if report.file is not None and report.size else lines


def _of_stream(stream: RerunStreamReport) -> list[str]:
    dropped = "drops unknown" if stream.dropped is None else f"{stream.dropped} dropped"
    behind = f", {stream.behind} left out because the viewer was too slow" if stream.behind else ""
    behind += f", {stream.skipped} skipped by --max-fps" if stream.skipped else ""
    results = [f"{stream.name} {detector}: {count} results" for detector, count in stream.results.items()]
    return [f"{stream.name}: {stream.logged} {stream.what}, {dropped}{behind}", *results]
