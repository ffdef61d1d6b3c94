"""Hatch build hook: compiles the GStreamer plugin and adds it to the package.

The plugin is a shared library that GStreamer opens, not a Python extension module. A wheel with it is therefore
``py3-none-<platform>`` and works with every Python version. If Rust or GStreamer's headers are missing, the result is
an ``any`` wheel with the SDK only. It contains the reason as a text, which ``setup_gstreamer()`` repeats.

``IOX2_VIDEO_NATIVE`` sets the mode: ``auto`` (the default) as described, ``require`` makes a missing tool an error, and
``skip`` leaves the plugin out. A plugin that does not compile is always an error.

``python hatch_build.py`` builds into the source tree, which an editable install uses.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
PLUGIN_FOLDER = "gst_iceoryx2/plugins"
REASON_FILE = "NOT_BUILT.txt"
LIBRARY_SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"
MIN_GSTREAMER = "1.22"
PKG_CONFIG_MODULES = ("gstreamer-1.0", "gstreamer-base-1.0", "gstreamer-video-1.0")

# Cargo target -> name in the package. GStreamer derives the name of a plugin from its file: libgst<name>.
PRODUCTS = {
    "gst_iceoryx2": f"libgsticeoryx2{LIBRARY_SUFFIX}",
    "iceoryx2-cleanup": "iceoryx2-cleanup",
}


class NativeBuildError(RuntimeError):
    """The plugin could not be built."""


class Native(NamedTuple):
    """Result of the native build: the built files by name in the package, or the reason why there are none."""

    files: dict[str, Path]
    reason: str | None


def build_native(root: Path) -> Native:
    """Compile the plugin in the mode of ``IOX2_VIDEO_NATIVE``.

    Raises:
        NativeBuildError: The build failed, or it is required and a tool is missing.
    """
    mode = os.environ.get("IOX2_VIDEO_NATIVE", "auto")
    if mode not in ("auto", "require", "skip"):
        raise NativeBuildError(f"IOX2_VIDEO_NATIVE={mode!r}: must be auto, require or skip")
    if mode == "skip":
        return Native({}, "it was left out on request (IOX2_VIDEO_NATIVE=skip)")
    cargo = _find_cargo()
    missing = _missing_tools(root, cargo)
    if missing:
        reason = "this machine lacks " + "; ".join(missing)
        if mode == "require":
            raise NativeBuildError(f"the GStreamer plugin is required (IOX2_VIDEO_NATIVE=require), but {reason}")
        return Native({}, reason)
    assert cargo is not None
    return Native(_cargo_build(root, cargo), None)


def _find_cargo() -> str | None:
    """Path of cargo. rustup's folder is on PATH only in a login shell, so it is searched, too."""
    return shutil.which("cargo") or shutil.which("cargo", path=Path("~/.cargo/bin").expanduser())


def _missing_tools(root: Path, cargo: str | None) -> list[str]:
    """The tools that are missing to compile the plugin, as parts of a sentence."""
    missing = []
    wanted = _rust_version_wanted(root)
    found = _cargo_version(cargo)
    if found is None or _as_numbers(found) < _as_numbers(wanted):
        missing.append(f"Rust {wanted} or newer (cargo: {found or 'not found'})")
    if shutil.which("cc") is None:
        missing.append("a C compiler to link with (cc)")
    query = [f"{module} >= {MIN_GSTREAMER}" for module in PKG_CONFIG_MODULES]
    if shutil.which("pkg-config") is None:
        missing.append("pkg-config, which finds the headers of GStreamer")
    elif subprocess.run(["pkg-config", "--exists", *query], check=False).returncode != 0:
        missing.append(f"the headers of GStreamer {MIN_GSTREAMER} or newer ({', '.join(PKG_CONFIG_MODULES)})")
    return missing


def _rust_version_wanted(root: Path) -> str:
    match = re.search(r'^rust-version = "([^"]+)"', (root / "Cargo.toml").read_text(), re.MULTILINE)
    assert match is not None, "Cargo.toml states no rust-version"
    return match[1]


def _cargo_version(cargo: str | None) -> str | None:
    if cargo is None:
        return None
    # rustup's cargo exits with an error if no toolchain is installed.
    answer = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=False)
    match = re.match(r"cargo (\d+\.\d+)", answer.stdout)
    return match[1] if answer.returncode == 0 and match else None


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _cargo_build(root: Path, cargo: str) -> dict[str, Path]:
    """Run cargo. Its messages tell where the products are, which depends on CARGO_TARGET_DIR."""
    command = [cargo, "build", "--release", "--message-format=json-render-diagnostics"]
    command += ["-p", "iox2-video", "-p", "iox2-video-core"]
    print("iox2-video: " + " ".join(command), file=sys.stderr, flush=True)
    # The rustc of this cargo is in the same folder. Another rustc on PATH may be too old.
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(cargo).parent), os.environ.get("PATH", "")])}
    done = subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise NativeBuildError(
            f"cargo could not build the GStreamer plugin (exit code {done.returncode}; its messages are above). "
            "IOX2_VIDEO_NATIVE=skip installs the Python SDK without it."
        )
    files: dict[str, Path] = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        product = PRODUCTS.get(message["target"]["name"]) if message["reason"] == "compiler-artifact" else None
        if product is not None:
            wanted = [name for name in message["filenames"] if name.endswith(LIBRARY_SUFFIX)]
            files[product] = Path(message["executable"] or wanted[0])
    absent = set(PRODUCTS.values()) - files.keys()
    if absent:
        raise NativeBuildError(f"cargo built everything except {', '.join(sorted(absent))}")
    return files


def place(native: Native, folder: Path) -> None:
    """Make the plugin folder of the source tree contain exactly the result of the build, for an editable install."""
    folder.mkdir(exist_ok=True)
    reason_file = folder / REASON_FILE
    if native.reason is not None:
        for name in PRODUCTS.values():
            (folder / name).unlink(missing_ok=True)
        reason_file.write_text(native.reason + "\n")
        return
    reason_file.unlink(missing_ok=True)
    for name, built in native.files.items():
        # Renamed into place, so that a process keeps the old file that it has mapped.
        fresh = folder / f".{name}.new"
        shutil.copy2(built, fresh)
        fresh.replace(folder / name)


def platform_tag(binaries: Iterable[Path]) -> str:
    """Platform tag of the wheel. The newest glibc version that a binary needs determines the manylinux level."""
    if sys.platform.startswith("linux"):
        symbols = [match for file in binaries for match in re.findall(rb"GLIBC_(\d+)\.(\d+)", file.read_bytes())]
        if symbols:
            major, minor = max((int(major), int(minor)) for major, minor in symbols)
            return f"manylinux_{major}_{minor}_{os.uname().machine}"
    return re.sub(r"[-.]", "_", sysconfig.get_platform())


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds the native files to a wheel, or to the source tree for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the native files. Hatchling calls this before it collects the files of the package."""
        root = Path(self.root)
        native = build_native(root)
        if native.reason is not None:
            self.app.display_warning(_without_plugin(native.reason))
        if version == "editable":
            place(native, root / "python" / PLUGIN_FOLDER)
            return
        if native.reason is not None:
            note = Path(self.directory) / REASON_FILE
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(native.reason + "\n")
            build_data["force_include"][str(note)] = f"{PLUGIN_FOLDER}/{REASON_FILE}"
            return
        for name, built in native.files.items():
            build_data["force_include"][str(built)] = f"{PLUGIN_FOLDER}/{name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(native.files.values())}"


def _without_plugin(reason: str) -> str:
    return f"WITHOUT THE GSTREAMER PLUGIN: {reason}. The Python SDK works; iceoryx2sink and iceoryx2src do not exist."


def main() -> None:
    """Build into the source tree."""
    try:
        native = build_native(ROOT)
    except NativeBuildError as error:
        sys.exit(f"hatch_build.py: {error}")
    place(native, ROOT / "python" / PLUGIN_FOLDER)
    if native.reason is not None:
        print(_without_plugin(native.reason), file=sys.stderr)


if __name__ == "__main__":
    main()
