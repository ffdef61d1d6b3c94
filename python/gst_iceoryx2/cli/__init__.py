"""The command line `iox2-video`. Each command has its own module, which is imported when the command runs.

A command parses its arguments, calls the SDK and prints the result; you can call the same functions from Python. A
module is named after its command (``-`` becomes ``_``) and defines the click command as ``command``. To add a command,
add a line to `COMMANDS`. ``--help`` reads only these lines and does not import the commands, because importing
iceoryx2 alone takes 0.1 s.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from gst_iceoryx2._namesake import warn as _warn_of_namesake
from gst_iceoryx2.cli._outcome import errors_in_one_line, ready_streams
from gst_iceoryx2.cli._signals import exiting_on_signals

# Another project that uses the same import name may have overwritten this package's `__init__`.
_warn_of_namesake()

COMMANDS = {
    "list": "List the video streams in this domain, and Sh4lt paths.",
    "info": "Show one stream in detail: caps, QoS, strides, metas, processes, memory.",
    "top": "Show live statistics of streams: rate, jitter, gaps, latency.",
    "view": "Show streams live in the browser, in Foxglove or in Rerun, or save a snapshot.",
    "results": "Print what a detector finds in the frames of a source.",
    "record": "Record streams to a video file.",
    "clip": "Save the last seconds of a stream to a video file.",
    "publish": "Publish a test pattern, camera, video file or picture.",
    "serve": "Serve the streams of a file to readers, on demand.",
    "cameras": "List the cameras of this machine, or what one camera offers.",
    "bridge": "Forward a stream between services, Sh4lt paths, Zenoh keys and ROS 2 topics.",
    "doctor": "Find problems and suggest fixes.",
    "completion": "Print a shell script for TAB completion of commands, options and streams.",
    "plugin-path": "Print the folder that contains the GStreamer plugin, for GST_PLUGIN_PATH.",
}


class _LazyCommands(click.Group):
    """A group that imports a command's module when the command is used."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, even if its outputs are closed or cannot encode every character."""
        ready_streams()
        return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments, and run options such as `--help` and `--version`."""
        with errors_in_one_line():
            return super().make_context(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest the most similar one if it does not exist."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(COMMANDS)}"
            ctx.fail(f'no such command "{args[0]}": {hint}')
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn SDK errors into one line on stderr and an exit code."""
        with errors_in_one_line(), exiting_on_signals():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from gst_iceoryx2.cli._version import version_lines

    for line in version_lines():
        click.echo(line)
    ctx.exit()


@click.group(name="iox2-video", cls=_LazyCommands)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the versions of the package, iceoryx2, the plugin and GStreamer.",
)
def main() -> None:
    """Live raw video between processes by reference, over Eclipse iceoryx2."""
