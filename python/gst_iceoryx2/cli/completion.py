"""`iox2-video completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gst_iceoryx2.cli._outcome import examples

_PROGRAM = "iox2-video"
_VARIABLE = "_IOX2_VIDEO_COMPLETE"


@click.command(
    name="completion",
    epilog=examples(
        "source <(iox2-video completion bash)",
        "iox2-video completion bash >> ~/.bashrc",
        "iox2-video completion zsh >> ~/.zshrc",
        "iox2-video completion fish > ~/.config/fish/completions/iox2-video.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a shell script for TAB completion of commands, options and streams."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, _PROGRAM, _VARIABLE)
    # script.source() would start bash to find its version.
    click.echo(script.source_template % script.source_vars())
