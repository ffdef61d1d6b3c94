"""Writes and starts a systemd unit that serves streams for one user."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .._iox2.domain import DOMAIN_VARIABLE
from ..errors import Iox2VideoError

_TIMEOUT: Final = 60.0
# Characters that are permitted in names of units: systemd.unit(5).
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9:_.-]")

_UNIT: Final = """\
# Written by `iox2-video serve --install`, which replaces this file.
[Unit]
Description={description}
{source}
[Service]
Type=notify
ExecStart=:{command}
ExecReload=kill -HUP $MAINPID
{environment}WatchdogSec=30
Restart=on-failure
RestartSec=1
# 2: the file has mistakes, which a restart does not repair.
RestartPreventExitStatus=2
# The supervisor ends its processes in order; systemd kills those that remain.
KillMode=mixed
TimeoutStopSec=10

[Install]
WantedBy=default.target
"""


class UnitError(Iox2VideoError, OSError):
    """The unit cannot be written or started."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A unit that was installed and started.

    Attributes:
        name: Its name, such as "iox2-video-streams.service".
        path: The file of the unit.
        lingers: Whether the unit also runs while its user is not logged in; None if unknown.
    """

    name: str
    path: Path
    lingers: bool | None


def unit_name(file: Path | None) -> str:
    """Return the name of the unit that serves a file; without a file, it serves renditions only."""
    return f"iox2-video-{'serve' if file is None else _NOT_IN_NAMES.sub('-', file.stem)}.service"


def unit_text(file: Path | None, environ: Mapping[str, str] | None = None) -> str:
    """Return the text of a unit.

    Args:
        file: Absolute path of the file with the streams; None = renditions only.
        environ: The environment, whose iceoryx2 domain the unit will use; None = that of this process.

    Raises:
        UnitError: A path contains characters that a unit cannot contain.
    """
    # The script is in the folder of the interpreter, unless the package was installed in an unusual way.
    script = Path(sys.executable).with_name("iox2-video")
    command = [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "gst_iceoryx2"]
    command += ["serve", *([] if file is None else [str(file)])]
    domain = (os.environ if environ is None else environ).get(DOMAIN_VARIABLE)
    return _UNIT.format(
        description=_plain(f"Video streams of {file}" if file is not None else "Renditions of video streams"),
        source="" if file is None else f"SourcePath={_plain(str(file))}\n",
        command=" ".join(map(_quoted, command)),
        environment="" if not domain else f"Environment={_quoted(f'{DOMAIN_VARIABLE}={domain}')}\n",
    )


def install(file: Path | None) -> Installed:
    """Write the unit of a file, enable it for the next logins, and start it, or restart it if it runs.

    Args:
        file: Absolute path of the file with the streams; None = renditions only.

    Raises:
        UnitError: This system or session has no systemd, another file's unit has the same name, the unit cannot be
            written, or it does not start.
    """
    name, text = unit_name(file), unit_text(file)
    if shutil.which("systemctl") is None:
        raise UnitError("this system has no systemctl; start `iox2-video serve` with the init system that it has")
    reached = _systemctl("show", "--property=Version")
    if reached.returncode != 0:
        raise UnitError(
            f"cannot reach the systemd of user {_user()}: {_last_line(reached.stderr)}; log in as this user, not with "
            f"su or sudo, or run `loginctl enable-linger {_user()}` and set XDG_RUNTIME_DIR=/run/user/{os.getuid()}"
        )
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    path = folder / name
    try:
        _check_owner(path, text)
        folder.mkdir(parents=True, exist_ok=True)
        _replace(path, text)
    except OSError as exc:
        if isinstance(exc, UnitError):
            raise
        raise UnitError(f"cannot write {path}: {exc.strerror or exc}") from exc
    for arguments in (("daemon-reload",), ("enable", name), ("restart", name)):
        done = _systemctl(*arguments)
        if done.returncode != 0:
            raise UnitError(
                f"`systemctl --user {' '.join(arguments)}` failed: {_last_line(done.stderr)}; "
                f"`journalctl --user --unit {name}` has the details"
            )
    return Installed(name, path, _lingers())


def _check_owner(path: Path, text: str) -> None:
    """Refuse to replace the unit of another file."""
    mine = _source_of(text)
    try:
        other = _source_of(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return
    if other != mine:
        raise UnitError(f"{path} already serves {other}; give one of the two files another name")


def _source_of(text: str) -> str | None:
    match = re.search(r"^SourcePath=(.*)$", text, re.MULTILINE)
    return match[1].replace("%%", "%") if match else None


def _replace(path: Path, text: str) -> None:
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemctl", "--user", *arguments]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise UnitError(f"cannot run `{shlex.join(command)}`: {exc}") from exc


def _lingers() -> bool | None:
    """Return whether services of this user run while the user is not logged in."""
    try:
        done = subprocess.run(
            ["loginctl", "show-user", _user(), "--property=Linger", "--value"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removesuffix(".") if lines else "it gave no reason"


def _plain(text: str) -> str:
    """Return a value of a unit that is not split into words."""
    if not text.isprintable() or text.endswith("\\"):
        raise UnitError(f"a unit cannot contain {text!r}; give the file another name")
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """Return a word of a command or an assignment, for a unit: systemd.syntax(7)."""
    plain = _plain(f"{text} ").removesuffix(" ")
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
