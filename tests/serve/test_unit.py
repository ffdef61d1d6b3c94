"""The systemd unit of `iox2-video serve --install`: systemd accepts it, and the commands that start it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gst_iceoryx2.serve import UnitError, install, unit_name, unit_text

NAMES = ["streams.toml", "my streams.toml", "50%h $HOME %%.toml", "a \"b\" 'c' \\d;e.toml", "é.toml", "-.toml"]


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Record calls of `systemctl`, because tests must not start services of this user; `fails` makes one fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "log"
    for name in ("systemctl", "loginctl"):
        script = folder / name
        script.write_text(
            f'#!/bin/sh\necho {name} "$@" >>{log}\n'
            f'if [ "$(cat {tmp_path}/fails 2>/dev/null)" = "$2" ]; then echo "it is not so." >&2; exit 1; fi\n'
            f"case $0 in *loginctl) cat {tmp_path}/lingers 2>/dev/null || echo no;; esac\n"
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("name", [*NAMES, None])
def test_systemd_accepts_the_unit(tmp_path: Path, name: str | None) -> None:
    file = None if name is None else tmp_path / name
    unit = tmp_path / unit_name(file)
    unit.write_text(unit_text(file, {"IOX2_VIDEO_DOMAIN": f'{tmp_path}/50% "x":y_'}))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_watched_reloads_and_ends_in_order() -> None:
    lines = unit_text(Path("/a b/50%.toml"), {"IOX2_VIDEO_DOMAIN": "/tmp/x:y_"}).splitlines()
    start = f'ExecStart=:"{Path(sys.executable).with_name("iox2-video")}" "serve" "/a b/50%%.toml"'
    wanted = {"Type=notify", "ExecReload=kill -HUP $MAINPID", "WatchdogSec=30", "Restart=on-failure", start,
              "KillMode=mixed", 'Environment="IOX2_VIDEO_DOMAIN=/tmp/x:y_"', "WantedBy=default.target",
              "SourcePath=/a b/50%%.toml"}  # fmt: skip
    assert wanted <= set(lines)
    assert not any(line.startswith(("Environment", "SourcePath")) for line in unit_text(None, {}).splitlines())


@pytest.mark.parametrize("name", ["a\nb", "a\x1bb", os.fsdecode(b"\xff"), "a\\"])
def test_a_name_that_a_unit_cannot_contain_is_refused(name: str) -> None:
    with pytest.raises(UnitError, match=r"a unit cannot contain .*; give the file another name"):
        unit_text(Path("/a", name), {})


def test_names_of_units_are_valid(tmp_path: Path) -> None:
    assert unit_name(Path("/a/streams.toml")) == "iox2-video-streams.service"
    assert unit_name(None) == "iox2-video-serve.service"
    assert unit_name(Path("/a/front left @ 50%.toml")) == "iox2-video-front-left---50-.service"


def test_installing_writes_enables_and_starts_the_unit(systemctl: Path) -> None:
    file = systemctl / "streams.toml"
    done = install(file)
    assert done.path == systemctl / "config/systemd/user/iox2-video-streams.service"
    assert done.path.read_text() == unit_text(file)
    assert done.lingers is False
    called = (systemctl / "log").read_text().splitlines()
    assert called[:4] == [
        "systemctl --user show --property=Version",
        "systemctl --user daemon-reload",
        "systemctl --user enable iox2-video-streams.service",
        "systemctl --user restart iox2-video-streams.service",
    ]
    (systemctl / "lingers").write_text("yes\n")
    assert install(file).lingers is True
    assert [path.name for path in done.path.parent.iterdir()] == [done.name]


def test_the_unit_of_another_file_is_not_replaced(systemctl: Path) -> None:
    (systemctl / "other").mkdir()
    first = install(systemctl / "other" / "50%.toml")
    text = first.path.read_text()
    with pytest.raises(UnitError, match=r"already serves .*/other/50%\.toml; give one of the two files another name"):
        install(systemctl / "50%.toml")
    assert first.path.read_text() == text


@pytest.mark.parametrize("step", ["daemon-reload", "enable", "restart"])
def test_a_step_that_fails_is_told_in_systemds_words(systemctl: Path, step: str) -> None:
    (systemctl / "fails").write_text(step)
    with pytest.raises(UnitError, match=f"`systemctl --user {step}.*` failed: it is not so; `journalctl --user --unit"):
        install(systemctl / "streams.toml")


def test_a_folder_that_cannot_be_written_is_told(systemctl: Path) -> None:
    (systemctl / "config").write_text("")
    with pytest.raises(UnitError, match=r"cannot write .*\.service: "):
        install(systemctl / "streams.toml")


def test_without_systemd_or_its_bus_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    if shutil.which("systemctl") is not None:
        with pytest.raises(UnitError, match=r"cannot reach the systemd of user .*: .*; log in as this user"):
            install(tmp_path / "streams.toml")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnitError, match="this system has no systemctl"):
        install(tmp_path / "streams.toml")
    assert list(tmp_path.iterdir()) == []
