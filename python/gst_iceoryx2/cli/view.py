"""`iox2-video view`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gst_iceoryx2.cli._outcome import Failed, Misused, examples
from gst_iceoryx2.cli._params import DETECTOR, STREAM, Above0
from gst_iceoryx2.cli._rerun import show_in_rerun
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.errors import Iox2VideoError, ServiceNotFoundError

if TYPE_CHECKING:
    from gst_iceoryx2.preview import Preview

_EXAMPLES = (
    "iox2-video view cam0                      # opens the browser",
    "iox2-video view cam0 cam1 --max-fps 10",
    "iox2-video view cam0 --results yolo       # with boxes on the frames that they belong to",
    "iox2-video view cam0 --snapshot cam0.png  # one picture, no browser",
    "iox2-video view cam0 --foxglove           # for Foxglove instead of the browser",
    "iox2-video view cam0 --rerun              # in Rerun's viewer",
    "ssh -L 8080:127.0.0.1:8080 robot iox2-video view cam0 --port 8080 --no-browser",
)


@click.command(name="view", epilog=examples(*_EXAMPLES))
@click.argument("names", metavar="NAME...", type=STREAM, nargs=-1, required=True)
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    help="TCP port [default: a free port; with --foxglove: 8765, and 0 is a free port].",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Other addresses expose the video to other machines, unencrypted without --tls.",
)
@click.option(
    "--tls",
    metavar="CERT KEY",
    nargs=2,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Serve HTTPS with this certificate and its key (PEM files).",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Store the secret part of the address in FILE, so that the next run uses the same address.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--max-fps",
    metavar="N",
    type=Above0(1000),
    default=60.0,
    show_default=True,
    help="Show at most this many pictures per second for each stream.",
)
@click.option(
    "--quality",
    metavar="1-100",
    type=click.IntRange(1, 100),
    help="JPEG quality [default: 80 on the page, 92 in a snapshot].",
)
@click.option(
    "--results",
    "detectors",
    metavar="DETECTOR",
    multiple=True,
    type=DETECTOR,
    help="Draw what this detector finds on the pictures in which it was found. Can be repeated.",
)
@click.option(
    "--results-wait",
    metavar="SECONDS",
    type=click.FloatRange(0, 0.3),
    default=0.1,
    show_default=True,
    help="Hold a picture at most this long for its results, while they come within this time.",
)
@click.option(
    "--snapshot",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save one picture to FILE (.jpg or .png), then exit.",
)
@click.option("--rerun", is_flag=True, help="Show the streams in Rerun's viewer instead of a page.")
@click.option(
    "--rerun-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the streams to a Rerun file (.rrd) until they end.",
)
@click.option(
    "--foxglove",
    "is_for_foxglove",
    is_flag=True,
    help="Start a server for Foxglove instead of a page. It listens on 127.0.0.1, and has no token.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=Above0(),
    default=5.0,
    show_default=True,
    help="How long --snapshot waits for a frame.",
)
def command(
    names: tuple[str, ...],
    port: int | None,
    host: str,
    tls: tuple[Path, Path] | None,
    token_file: Path | None,
    no_browser: bool,
    max_fps: float,
    quality: int | None,
    detectors: tuple[str, ...],
    results_wait: float,
    snapshot: Path | None,
    is_for_foxglove: bool,
    rerun: bool,
    rerun_file: Path | None,
    timeout: float,
) -> None:
    """Show streams live in the browser, in Foxglove or in Rerun, or save a snapshot.

    The page shows the streams side by side, with frame rate, latency and drops. Streams may start later. The page's
    address is printed to stdout. It contains a secret, so other users of this machine cannot see the video. Press
    Ctrl-C to stop.

    --rerun shows the streams in Rerun's viewer, which it starts if none is running on this machine. --foxglove prints
    the address of a server, to which Foxglove connects.
    """
    if is_for_foxglove:
        from gst_iceoryx2.cli._foxglove import show

        show(names, port, detectors, _absent(names))
        return
    if rerun or rerun_file is not None:
        show_in_rerun(
            names,
            rerun_file,
            detectors=detectors,
            max_fps=max_fps,
            quality=quality,
            waiting=_absent(names),
        )
        return
    if snapshot is not None:
        if detectors:
            raise click.UsageError("--results draws on the page, not on a snapshot; omit --results or --snapshot")
        _save(names, snapshot, timeout, quality)
        return
    from gst_iceoryx2 import preview

    absent = _absent(names)
    with _usage_errors():
        token = None if token_file is None else preview.token_from(token_file)
        shown = preview.Preview(
            names,
            host=host,
            port=port or 0,
            max_fps=max_fps,
            quality=quality or preview.DEFAULT_QUALITY,
            token=token,
            tls=tls,
            results=detectors,
            results_wait=results_wait,
        )
    with shown:
        click.echo(shown.url)
        for line in absent:
            say(line)
        _warn(host, is_encrypted=tls is not None)
        with ExitStack() as stack:
            if not no_browser:
                _open(shown, stack)
            shown.wait()


def _save(names: tuple[str, ...], path: Path, timeout: float, quality: int | None) -> None:
    if len(names) > 1:
        raise click.UsageError("--snapshot saves only one stream; pass one NAME")
    from gst_iceoryx2 import preview

    try:
        with _usage_errors():
            preview.check_path(path)
            saved = preview.save_snapshot(names[0], path, timeout=timeout, quality=quality or preview.SNAPSHOT_QUALITY)
    except OSError as exc:
        if isinstance(exc, Iox2VideoError):
            raise
        raise Failed(f"cannot write {path}: {exc.strerror or exc}") from exc
    say(f"{saved.path}: {saved.width}x{saved.height}, {saved.size} bytes")


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except Iox2VideoError:
        raise
    except (TypeError, ValueError) as exc:
        # A host name that cannot be encoded raises TypeError.
        raise Misused(str(exc)) from exc


def _absent(names: tuple[str, ...]) -> list[str]:
    """Return a line for each stream that does not exist yet. Call this before the preview creates event services."""
    from gst_iceoryx2.discovery import require

    lines = []
    for name in names:
        try:
            require(name)
        except ServiceNotFoundError as exc:
            lines.append(f"Waiting: {exc}")
    return lines


def _warn(host: str, *, is_encrypted: bool) -> None:
    from gst_iceoryx2.preview import is_loopback

    if not is_loopback(host):
        warning = f"Warning: other machines can reach {host}. Everyone who knows the page's address can see the video"
        if not is_encrypted:
            warning += ", which is not encrypted. Instead, listen on 127.0.0.1 and forward the port with `ssh -L`"
        say(f"{warning}.")
    say("Press Ctrl-C to stop.")


def _open(shown: Preview, stack: ExitStack) -> None:
    """Open the browser with a private file that redirects to the page.

    All users can read a process's arguments, so the address with its token must not be among them.
    """
    import tempfile
    import webbrowser

    has_display = sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
    if not has_display:
        # A text-mode browser would take over this terminal.
        say("No display: open the address in a browser. From another machine, use ssh -L.")
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    # This folder may belong to a session that has ended, or to another user (after su).
    place = runtime if runtime and os.access(runtime, os.W_OK | os.X_OK) else None
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="iox2-video-", dir=place))
    page = Path(folder, "view.html")
    page.write_text(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={shown.url}">\n')
    if not webbrowser.open(page.as_uri()):
        say("No browser found: open the address yourself.")
