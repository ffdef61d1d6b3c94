"""`iox2-video serve`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2.cli._outcome import Misused, examples
from gst_iceoryx2.cli._screen import json_text, say

if TYPE_CHECKING:
    from gst_iceoryx2.serve import Config, StreamConfig


@click.command(
    name="serve",
    epilog=examples(
        "iox2-video serve streams.toml",
        "iox2-video serve streams.toml --check",
        "iox2-video serve streams.toml --install",
        "iox2-video serve streams.toml --install --print",
    ),
)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path())
@click.option("--check", is_flag=True, help="Print what would run and which mistakes the file has, and exit.")
@click.option("--install", is_flag=True, help="Let systemd start the command when you log in, and start it now.")
@click.option("--print", "is_print", is_flag=True, help="With --install, only print the unit for systemd.")
@click.option("--json", "as_json", is_flag=True, help="With --check, print JSON.")
def command(file: str | None, check: bool, install: bool, is_print: bool, as_json: bool) -> None:
    """Serve the streams of a file to readers, on demand.

    FILE names streams and their sources, in TOML. Each source runs while its stream has readers. Without FILE, only
    renditions of existing streams are served. Mistakes in the file are printed with their lines; the other streams run.
    """
    if check and install:
        raise Misused("choose one of --check and --install")
    if is_print and not install:
        raise Misused("--print needs --install")
    if as_json and not check:
        raise Misused("--json needs --check")
    if check and file is None:
        raise Misused("--check needs FILE")
    config = _load(file)
    if check:
        _show(config, as_json)
    elif install:
        _install(config, is_print)
    else:
        _serve(config)


def _load(file: str | None) -> Config:
    from gst_iceoryx2.serve import Config, ConfigError, load

    if file is None:
        return Config()
    try:
        return load(file)
    except ConfigError as exc:
        raise Misused(str(exc)) from exc


def _show(config: Config, as_json: bool) -> None:
    """Print what would run; fail if the file has mistakes."""
    if as_json:
        click.echo(json_text({
            "path": str(config.path),
            "streams": [_document(stream) for stream in config.streams],
            "problems": [{"line": problem.line, "text": problem.text} for problem in config.problems],
        }, indent=2))  # fmt: skip
    else:
        for stream in config.streams:
            click.echo(stream.plan + ("" if _is_there(stream) else "; it does not exist now"))
    _refuse(config, "the other streams would run" if config.streams else "no stream is left")


def _document(stream: StreamConfig) -> dict[str, Any]:
    return {
        "name": stream.name,
        "service": stream.service,
        "kind": stream.kind,
        "source": stream.source,
        "exists": _is_there(stream),
        "size": stream.size,
        "fps": None if stream.fps is None else round(float(stream.fps), 3),
        "format": stream.format,
        "controls": stream.controls,
        "flip": stream.flip,
        "loop": stream.loop,
        "stop_after": stream.stop_after,
        "always": stream.always,
        "line": stream.line,
        "plan": stream.plan,
    }


def _is_there(stream: StreamConfig) -> bool:
    """Return whether the device or file of a stream exists; True for sources that are neither."""
    path = f"/dev/video{stream.value}" if stream.value.isdecimal() and stream.kind == "camera" else stream.value
    return stream.kind not in ("camera", "file", "image") or os.path.exists(path)


def _refuse(config: Config, rest: str) -> None:
    """Print the mistakes, and fail if there are any."""
    for problem in config.problems:
        say(problem.text)
    if config.problems:
        count = len(config.problems)
        raise Misused(f"{config.path} has {count} mistake{'' if count == 1 else 's'}; {rest}")


def _install(config: Config, is_print: bool) -> None:
    """Install the unit, or print it."""
    from gst_iceoryx2.serve import install, unit_text

    _refuse(config, "correct the file before you install it")
    if is_print:
        click.echo(unit_text(config.path), nl=False)
        return
    installed = install(config.path)
    say(f"{installed.name} runs, and starts when you log in ({installed.path})")
    say(f"status: systemctl --user status {installed.name}; stop: systemctl --user disable --now {installed.name}")
    if not installed.lingers:
        say("it ends when you log out, and so do the streams; to keep them, run `loginctl enable-linger`")


def _serve(config: Config) -> None:
    """Serve the streams until Ctrl-C or SIGTERM."""
    if config.problems and not config.streams:
        _refuse(config, "no stream is left")
    for problem in config.problems:
        say(problem.text)
    from gst_iceoryx2.cli._signals import stopping_on_signals
    from gst_iceoryx2.serve import Supervisor

    supervisor = Supervisor(config)
    with stopping_on_signals(supervisor.stop):
        supervisor.run()
