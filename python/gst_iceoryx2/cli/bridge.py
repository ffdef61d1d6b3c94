"""`iox2-video bridge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2.cli._outcome import Misused, examples, refuse_options
from gst_iceoryx2.cli._params import DETECTOR, Above0, AnyEnd
from gst_iceoryx2.cli._run import run
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.cli._words import amount, counted

if TYPE_CHECKING:
    from gst_iceoryx2.bridge import Bridged


@click.command(
    name="bridge",
    epilog=examples(
        "iox2-video bridge cam0 zenoh:site/cam0",
        "iox2-video bridge zenoh:site/cam0 far0",
        "iox2-video bridge cam0 zenoh:site/cam0 --codec h264",
        "iox2-video bridge cam0 zenoh:site/cam0 --results yolo",
        "iox2-video bridge cam0 zenoh:site/cam0 --listen tcp/0.0.0.0:7447",
        "iox2-video bridge zenoh:site/cam0 cam0 --connect tcp/192.168.1.5:7447",
        "iox2-video bridge sh4lt:/tmp/score_shm_video cam0",
        "iox2-video bridge cam0 ros2:/cam0/image_raw",
        "iox2-video bridge cam0 ros2:/cam0/image_raw/ffmpeg",
        "iox2-video bridge ros2:/cam0/image_raw/compressed cam1",
    ),
)
@click.argument("source", metavar="FROM", type=AnyEnd())
@click.argument("target", metavar="TO", type=AnyEnd())
@click.option(
    "--codec",
    type=click.Choice(("jpeg", "raw", "h264")),
    help="Encoding for Zenoh keys. [default: jpeg for frames]",
)
@click.option(
    "--results", metavar="DETECTOR", type=DETECTOR, help="Forward the results of this detector instead of frames."
)
@click.option("--quality", type=click.IntRange(1, 100), default=85, show_default=True, help="JPEG quality.")
@click.option("--max-fps", metavar="FPS", type=Above0(), help="Forward at most this many frames per second.")
@click.option(
    "--listen", metavar="ENDPOINT", multiple=True, help="Zenoh endpoint to listen on, such as tcp/0.0.0.0:7447."
)
@click.option(
    "--connect",
    metavar="ENDPOINT",
    multiple=True,
    help="Zenoh endpoint to connect to, such as tcp/HOST:7447. [default for topics: tcp/localhost:7447]",
)
@click.option("--frame-id", metavar="ID", help="Coordinate frame in ROS 2 messages. [default: name of FROM]")
@click.option(
    "--camera-info",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Calibration (YAML of camera_calibration) to publish as camera_info beside a topic.",
)
@click.option("--frames", metavar="N", type=click.IntRange(1), help="Stop after N frames or results.")
def command(source: str, target: str, results: str | None, **settings: Any) -> None:
    """Forward a stream between services, Sh4lt paths, Zenoh keys and ROS 2 topics.

    FROM and TO are each NAME, NAME@h264, sh4lt:PATH, zenoh:KEY or ros2:/TOPIC. Frames on a key reach other machines
    only through endpoints given with --listen and --connect. Without endpoints, they reach only bridges of the same
    user on this machine. Topics need ROS 2's router, rmw_zenohd. Topics that end in /compressed carry JPEG, topics that
    end in /ffmpeg or /foxglove carry H.264, and all other topics carry raw pictures. Results go between services and
    keys, in a bridge of their own; they match the frames on both sides. A bridge keeps running when a stream ends or a
    program restarts. Press Ctrl-C to stop it.
    """
    if results is not None:
        refuse_options(("codec", "quality", "max_fps", "frame_id", "camera_info"), "--results")
    from gst_iceoryx2.bridge import Endpoint, EndpointError, check_pair

    try:
        check_pair(Endpoint.of(source, results), Endpoint.of(target, results))
        from gst_iceoryx2.bridge import Bridge

        bridge = Bridge(source, target, results=results, **settings)
    except EndpointError as exc:
        raise Misused(str(exc)) from exc
    say(f"{bridge.source} to {bridge.target}")
    what, over = ("frame", "skipped for newer ones") if results is None else ("result", "dropped")

    def summary(bridged: Bridged) -> str:
        return _summary(bridged, what, over)

    run(bridge, summary, lambda bridged: [summary(bridged)])


def _summary(bridged: Bridged, what: str, over: str) -> str:
    parts = [f"{counted(bridged.passed, what)}, {amount(bridged.size)}"]
    for count, words in (
        (bridged.passed_over, over),
        (bridged.skipped, "skipped by --max-fps"),
        (bridged.unwanted, "without a receiver"),
        (sum(bridged.refused.values()), "refused"),
    ):
        if count:
            parts.append(f"{count} {words}")
    return ", ".join(parts)
