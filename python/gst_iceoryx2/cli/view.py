"""`iox2-video view`."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gst_iceoryx2.cli._outcome import Failed, Misused, examples
from gst_iceoryx2.cli._params import STREAM, Above0
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.errors import Iox2VideoError, ServiceNotFoundError

if TYPE_CHECKING:
    from gst_iceoryx2.preview import Preview

_EXAMPLES = (
    "iox2-video view cam0                      # opens the browser",
    "iox2-video view cam0 cam1 --max-fps 10",
    "iox2-video view cam0 --snapshot cam0.png  # one picture, no browser",
    "ssh -L 8080:127.0.0.1:8080 robot iox2-video view cam0 --port 8080 --no-browser",
)


@click.command(name="view", epilog=examples(*_EXAMPLES))
@click.argument("names", metavar="NAME...", type=STREAM, nargs=-1, required=True)
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), default=0, help="TCP port of the page [default: a free one]."
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Any other than this one shows the video to other machines, unencrypted.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take the secret part of the address from FILE, which is made if it is not there: the address stays the same.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--max-fps",
    metavar="N",
    type=Above0(1000),
    default=60.0,
    show_default=True,
    help="Pictures a second of each stream at most.",
)
@click.option(
    "--quality",
    metavar="1-100",
    type=click.IntRange(1, 100),
    help="Of JPEG [default: 80 on the page, 92 in a snapshot].",
)
@click.option(
    "--snapshot",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save one picture as .jpg or .png, and end.",
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
    port: int,
    host: str,
    token_file: Path | None,
    no_browser: bool,
    max_fps: float,
    quality: int | None,
    snapshot: Path | None,
    timeout: float,
) -> None:
    """Show streams live in the browser, or save a snapshot.

    The page has the streams side by side, with frame rate, latency and drops. Streams that are not there yet are waited
    for. Its address is printed on stdout, and has a secret part: other users of this machine do not see the video.
    Ctrl-C ends it.
    """
    if snapshot is not None:
        _save(names, snapshot, timeout, quality)
        return
    from gst_iceoryx2 import preview

    absent = _absent(names)
    try:
        token = None if token_file is None else preview.token_from(token_file)
        shown = preview.Preview(
            names, host=host, port=port, max_fps=max_fps, quality=quality or preview.DEFAULT_QUALITY, token=token
        )
    except Iox2VideoError:
        raise
    except (TypeError, ValueError) as exc:
        # TypeError: a name of a host that cannot be encoded.
        raise Misused(str(exc)) from exc
    except OSError as exc:
        about = f"{exc.filename}: " if exc.filename else ""
        raise Failed(f"{about}{exc.strerror or exc}") from exc
    with shown:
        click.echo(shown.url)
        for line in absent:
            say(line)
        _warn(host)
        with ExitStack() as stack:
            if not no_browser:
                _open(shown, stack)
            shown.wait()


def _save(names: tuple[str, ...], path: Path, timeout: float, quality: int | None) -> None:
    if len(names) > 1:
        raise click.UsageError("--snapshot saves one stream: name one")
    from gst_iceoryx2 import preview

    try:
        preview.check_path(path)
        saved = preview.save_snapshot(names[0], path, timeout=timeout, quality=quality or preview.SNAPSHOT_QUALITY)
    except Iox2VideoError:
        raise
    except ValueError as exc:
        raise Misused(str(exc)) from exc
    except OSError as exc:
        raise Failed(f"cannot write {path}: {exc.strerror or exc}") from exc
    say(f"{saved.path}: {saved.width}x{saved.height}, {saved.size} bytes")


def _absent(names: tuple[str, ...]) -> list[str]:
    """A line for each stream that has to be waited for; asked before waiting for it makes it a service."""
    from gst_iceoryx2.discovery import require

    lines = []
    for name in names:
        try:
            require(name)
        except ServiceNotFoundError as exc:
            lines.append(f"Waiting: {exc}")
    return lines


def _warn(host: str) -> None:
    from gst_iceoryx2.preview import is_reachable_from_elsewhere

    if is_reachable_from_elsewhere(host):
        say(
            f"Warning: other machines can reach {host}: whoever learns the page's address sees the video, which "
            "travels unencrypted. `ssh -L` to 127.0.0.1 avoids both.",
        )
    say("Ctrl-C ends it.")


def _open(shown: Preview, stack: ExitStack) -> None:
    """Open the browser by way of a file of ours: every user can read the arguments of a process, the token too."""
    import tempfile
    import webbrowser

    has_display = sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
    if not has_display:
        # A browser in text mode would take this terminal.
        say("No display here: open the address in a browser; from another machine by way of ssh -L.")
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    # Of a session that has ended, or of another user, after su.
    place = runtime if runtime and os.access(runtime, os.W_OK | os.X_OK) else None
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="iox2-video-", dir=place))
    door = Path(folder, "view.html")
    door.write_text(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={shown.url}">\n')
    if not webbrowser.open(door.as_uri()):
        say("No browser found: open the address in one.")
