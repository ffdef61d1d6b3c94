"""`iox2-video publish`."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2.cli._outcome import Misused, examples
from gst_iceoryx2.cli._params import Above0, ServiceName
from gst_iceoryx2.cli._run import clock, run
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.cli._words import counted
from gst_iceoryx2.discovery.names import short_name
from gst_iceoryx2.errors import FormatError

if TYPE_CHECKING:
    from gst_iceoryx2.feed import Fed, Source

    _TextType = click.ParamType[Any]
else:
    # In older releases of click, ParamType is not generic at run time.
    _TextType = click.ParamType


class _Size(_TextType):
    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, times, height = str(value).lower().partition("x")
        if not times or not width.isdecimal() or not height.isdecimal() or 0 in (int(width), int(height)):
            self.fail(f"{value!r} is not a size; use WIDTHxHEIGHT, such as 1280x720", param, ctx)
        return int(width), int(height)


class _Rate(_TextType):
    name = "FPS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        try:
            # A fraction suitable for caps. Very low rates become 0.
            rate = Fraction(value).limit_denominator(1001)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if not 0 < rate <= 1000:
            self.fail(f"{value!r} is not a frame rate; use a number such as 25, 29.97 or 30000/1001", param, ctx)
        return rate


class _Controls(_TextType):
    name = "controls"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        if isinstance(value, dict):
            return value
        pairs = [entry.partition("=") for entry in str(value).split(",")]
        wrong = next(("".join(pair) for pair in pairs if not all(part.strip() for part in pair)), None)
        if wrong is not None:
            self.fail(f"{wrong!r} is not a control and its value; use NAME=VALUE, such as gain=40", param, ctx)
        return {name.strip(): text.strip() for name, _, text in pairs}


@click.command(
    name="publish",
    epilog=examples(
        "iox2-video publish cam0 --test",
        "iox2-video publish cam0 --test --size 1920x1080 --format NV12 --fps 60",
        "iox2-video publish cam0 --camera /dev/video0 --size 1280x720 --fps 30",
        "iox2-video publish cam0 --camera /dev/v4l/by-id/usb-046d_C920-video-index0 --reconnect",
        "iox2-video publish cam0 --camera 0 --format MJPG --controls auto_exposure=manual,exposure=100",
        "iox2-video publish cam0 --camera 0 --list",
        "iox2-video publish clip --file clip.mp4 --loop",
        "iox2-video publish cam0 --file drive.mcap --topic cam0",
        "iox2-video publish title --image title.png --fps 5",
    ),
)
@click.argument("name", metavar="NAME", type=ServiceName(is_source=False))
@click.option("--test", is_flag=True, help="Publish colour bars with a moving box and the frame number.")
@click.option("--camera", metavar="DEV", help="Publish a camera, given as /dev/video0, a link to it, or 0.")
@click.option("--file", metavar="FILE", type=click.Path(), help="Publish a video file in real time.")
@click.option("--topic", metavar="TOPIC", help="Topic of an .mcap file; not needed if only one has pictures.")
@click.option("--image", metavar="FILE", type=click.Path(), help="Publish a picture repeatedly.")
@click.option(
    "--format",
    metavar="FORMAT",
    help="GStreamer's name for the pixel format: I420, NV12, BGR …; with --camera, also the camera's own: MJPG, YUYV …",
)
@click.option("--size", type=_Size(), help="Scale to this size; with --camera, request it from the camera.")
@click.option("--fps", type=_Rate(), help="Frames per second; with --file, overrides the file's own rate.")
@click.option("--controls", metavar="NAME=VALUE,…", type=_Controls(), help="Set controls of the camera, in this order.")
@click.option(
    "--flip", type=click.Choice(("180", "horizontal", "vertical")), help="Turn or mirror the camera's pictures."
)
@click.option("--reconnect", is_flag=True, help="If the camera is unplugged, wait until it is back.")
@click.option(
    "--list", "is_list", is_flag=True, help="Print the camera's formats, sizes, rates and controls, and exit."
)
@click.option("--json", "as_json", is_flag=True, help="With --list, print JSON.")
@click.option("--loop", is_flag=True, help="Play the file again when it ends.")
@click.option("--fast", is_flag=True, help="Publish as fast as possible.")
@click.option("--duration", metavar="SECONDS", type=Above0(), help="Stop after this many seconds.")
@click.option("--frames", metavar="N", type=click.IntRange(1), help="Stop after N frames.")
@click.option(
    "--wait-for", metavar="N", type=click.IntRange(0), default=0, help="Wait for N subscribers before starting."
)
def command(
    name: str,
    test: bool,
    camera: str | None,
    file: str | None,
    topic: str | None,
    image: str | None,
    fast: bool,
    loop: bool,
    duration: float | None,
    frames: int | None,
    wait_for: int,
    is_list: bool,
    as_json: bool,
    controls: dict[str, str] | None,
    flip: str | None,
    reconnect: bool,
    **settings: Any,
) -> None:
    """Publish a test pattern, camera, video file or picture.

    Choose one of --test, --camera, --file and --image. The stream ends at the end of the file, after --duration or
    --frames, or on Ctrl-C (exit code 130). In all these cases, subscribers are notified of the end.
    """
    chosen = [
        option for option, given in (("test", test), ("camera", camera), ("file", file), ("image", image)) if given
    ]
    if len(chosen) != 1:
        raise Misused("choose one of --test, --camera DEV, --file FILE and --image FILE")
    if file is None and (loop or topic is not None):
        raise Misused(f"--{'loop' if loop else 'topic'} needs --file")
    if fast and camera is not None:
        raise Misused("--fast cannot be used with --camera: a camera has its own rate")
    for option, given in (("controls", controls), ("flip", flip), ("reconnect", reconnect), ("list", is_list)):
        if given and camera is None:
            raise Misused(f"--{option} needs --camera")
    if as_json and not is_list:
        raise Misused("--json needs --list")
    if is_list:
        from gst_iceoryx2.cli.cameras import show_offer

        assert camera is not None
        show_offer(camera, as_json)
        return
    from gst_iceoryx2.feed import Feeder, SettingError

    try:
        source: Source
        if camera is not None:
            from gst_iceoryx2.feed import Camera

            source = Camera(camera, controls=controls, flip=flip, reconnect=reconnect, **settings)
            capture = f" ({source.capture})"
        else:
            source, capture = _source(test, file, topic, image, loop, settings), ""
        feeder = Feeder(name, source, fast=fast, duration=duration, frames=frames, wait_for=wait_for)
    except (SettingError, FormatError) as exc:
        raise Misused(str(exc)) from exc
    shape = feeder.shape
    rate = f" at {float(shape.framerate):.4g} fps" if shape.framerate else ""
    say(f"publishing {short_name(name)}: {shape.width}x{shape.height} {shape.format}{rate}{capture}")
    run(feeder, _progress, lambda fed: [_summary(fed)])


def _source(
    test: bool, file: str | None, topic: str | None, image: str | None, loop: bool, settings: dict[str, Any]
) -> Source:
    from gst_iceoryx2 import feed

    if test:
        width, height = settings["size"] or (1280, 720)
        return feed.TestPattern(width, height, settings["format"] or "I420", settings["fps"] or Fraction(30))
    if file is not None:
        played = feed.VideoFile(file, topic=topic, loop=loop, **settings)
        if played.note is not None:
            say(played.note)
        return played
    assert image is not None
    return feed.Image(image, **settings)


def _progress(fed: Fed) -> str:
    sent, seen = counted(fed.sent, "frame"), counted(fed.subscribers, "subscriber")
    return f"{clock(fed.seconds)}  {sent}  {fed.sent / fed.seconds:.1f} fps  {seen}"


def _summary(fed: Fed) -> str:
    text = f"{short_name(fed.service)}: {counted(fed.sent, 'frame')} in {fed.seconds:.1f} s"
    if fed.dropped:
        text += f", {fed.dropped} dropped because subscribers held all buffers"
    if fed.by_reference:
        text += f"; {fed.by_reference} of them without a copy"
    if fed.lost:
        text += f"; the camera lost {fed.lost}"
    if fed.damaged:
        text += f"; {fed.damaged} were damaged"
    if fed.behind:
        text += f"; fell behind real time {fed.behind} times"
    return text
