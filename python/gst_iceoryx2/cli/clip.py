"""`iox2-video clip`."""

from __future__ import annotations

import os

import click

from gst_iceoryx2.cli._outcome import Failed, Misused, examples
from gst_iceoryx2.cli._params import Seconds, ServiceOrPackets
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.errors import printable


@click.command(
    name="clip",
    epilog=examples(
        "iox2-video clip cam0 crash.mp4",
        "iox2-video clip cam0 crash.mp4 --before 20s --after 5s",
        "iox2-video clip cam0 crash.mkv --before 1min --overwrite",
    ),
)
@click.argument("name", type=ServiceOrPackets(is_source=True))
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("--before", metavar="TIME", type=Seconds(), show_default="everything", help="Time before now: 20s, 1min.")
@click.option("--after", metavar="TIME", type=Seconds(), default="0s", show_default=True, help="Time to wait for more.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
def command(name: str, file: str, before: float | None, after: float, overwrite: bool) -> None:
    """Save the last seconds of a stream to a video file.

    The stream must be kept by `iox2-video serve` (keep = "30s" in its file). FILE must end in .mkv, .mp4 or .mov.
    Nothing is encoded again. The clip begins at the keyframe at or before the wanted time. If less is kept, the clip
    contains what is there. On Ctrl-C, it ends early (exit code 130).
    """
    from gst_iceoryx2.discovery.names import why_silent
    from gst_iceoryx2.packets import LookbackError, lookback
    from gst_iceoryx2.packets.errors import TargetError

    past = lookback(name)
    try:
        clip = past.save(file, before, after, overwrite=overwrite)
    except KeyboardInterrupt:
        if os.path.exists(file):
            say(f"{printable(file)} contains what came before Ctrl-C")
        raise
    except TargetError as exc:
        raise Misused(str(exc)) from exc
    except LookbackError as exc:
        reason = why_silent(past.service_name)
        raise Failed(str(exc) if reason is None else f"{exc}; {reason}") from exc
    say(str(clip))
    if clip.note is not None:
        say(clip.note)
