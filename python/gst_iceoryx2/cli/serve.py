"""`iox2-video serve`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2.cli import _words as words
from gst_iceoryx2.cli._outcome import Misused, examples
from gst_iceoryx2.cli._screen import Painter, is_terminal, json_text, say, table
from gst_iceoryx2.cli._signals import clipping_on_signals, reloading_on_signals, stopping_on_signals
from gst_iceoryx2.discovery.names import short_name
from gst_iceoryx2.errors import printable

if TYPE_CHECKING:
    from gst_iceoryx2.serve import Config, ServeStatus, StreamConfig, StreamStatus

_HEADS = ("NAME", "STATE", "FPS", "READERS", "NOTE")


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
        "keep": stream.keep,
        "keep_bytes": None if stream.keep is None else stream.keep_bytes,
        "clip": stream.clip or None,
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
        raise Misused(f"{config.path} has {words.counted(len(config.problems), 'mistake')}; {rest}")


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
    from gst_iceoryx2.serve import Supervisor

    supervisor = Supervisor(config)
    with (
        clipping_on_signals(supervisor.clip),
        reloading_on_signals(supervisor.reload),
        stopping_on_signals(supervisor.stop),
    ):
        if is_terminal():
            with Painter() as painter:
                painter.draw([_heading([]), "starting …"])
                supervisor.run(lambda status: _draw(painter, status))
        else:
            supervisor.run(_Changes().say)


def _draw(painter: Painter, status: ServeStatus) -> None:
    """Draw the streams, and the newest lines of their processes."""
    lines = table(_HEADS, [_row(stream) for stream in status.streams], right=("FPS", "READERS"))
    nothing = "no renditions are read; they appear here when somebody reads one, such as cam0@640x640-RGB"
    painter.draw([*(lines if status.streams else [_heading([]), nothing]), *map(printable, status.log)])


def _heading(rows: list[tuple[str, ...]]) -> str:
    return table(_HEADS, rows)[0]


def _row(stream: StreamStatus) -> tuple[str, ...]:
    served = stream.served
    note = served.note() if served.state == "off" or served.is_failing else served.about
    if stream.ms is not None:
        note += f", {stream.ms:.1f} ms a frame"
    state = "failed" if served.is_failing else served.state
    return short_name(served.name), state, words.rate(stream.fps), str(served.readers), note.removeprefix("failed: ")


class _Changes:
    """Prints a line for each change of a stream's state, for outputs that are not a terminal."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def say(self, status: ServeStatus) -> None:
        """Print what has changed."""
        for line in status.log:
            say(line)
        now = {}
        for stream in status.streams:
            served = stream.served
            # Attempts that fail for the same reason are not worth a line.
            text = (served.is_failing and served.error) or served.state
            now[served.name] = text if served.state != "running" else f"running: {served.about}"
            if self._said.get(served.name) != now[served.name]:
                say(f"{short_name(served.name)}: {now[served.name]}")
        self._said = now
