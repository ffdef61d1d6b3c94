"""The contents of a wheel, and builds with tools missing."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.wheel.builds import ROOT, built_wheel, names_in, run_build, text_in

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files"),
]

PLUGINS = "gst_iceoryx2/plugins"
LIBRARY = f"{PLUGINS}/libgsticeoryx2.so"
CLEANUP = f"{PLUGINS}/iceoryx2-cleanup"
REASON = f"{PLUGINS}/NOT_BUILT.txt"


def metadata_name(wheel: Path) -> str:
    name, version, _ = wheel.name.split("-", 2)
    return f"{name}-{version}.dist-info"


def readelf(option: str, binary: Path) -> str:
    done = subprocess.run(["readelf", "--wide", option, str(binary)], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_one_wheel_serves_every_python_on_its_platform(wheel: Path) -> None:
    assert re.search(r"-py3-none-(manylinux_\d+_\d+|linux)_\w+\.whl$", wheel.name)
    assert "Root-Is-Purelib: false" in text_in(wheel, f"{metadata_name(wheel)}/WHEEL")


def test_the_crate_carries_the_same_data() -> None:
    command = ["cargo", "package", "--list", "--allow-dirty", "--offline", "-p", "iox2-video-core"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    data = {f"contract/{file.name}" for file in (ROOT / "python" / "gst_iceoryx2" / "contract").glob("*.json")}
    assert data <= set(listed)
    assert all((ROOT / "crates" / "core" / name).exists() for name in data)


def test_no_entry_is_a_symlink(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert not [entry.filename for entry in archive.infolist() if stat.S_ISLNK(entry.external_attr >> 16)]


def test_the_clean_up_helper_stays_executable(installed: Path) -> None:
    assert (installed / CLEANUP).stat().st_mode & stat.S_IXUSR


def test_the_plugin_links_gstreamer_of_the_host_and_no_python(unpacked: Path) -> None:
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("--dynamic", unpacked / LIBRARY)))
    assert {"libgstreamer-1.0.so.0", "libgstbase-1.0.so.0", "libgstvideo-1.0.so.0"} <= needed
    gstreamer, glib = r"libgst(reamer|base|video)-1\.0\.so\.0", r"lib(gio|glib|gobject)-2\.0\.so\.0"
    allowed = rf"{gstreamer}|{glib}|lib(c|m|gcc_s)\.so\.\d|ld-linux-.*"
    assert not [name for name in needed if not re.fullmatch(allowed, name)]
    assert not re.findall(r"UND\s+_?Py\w+", readelf("--dyn-syms", unpacked / LIBRARY))


def test_the_plugin_searches_no_folder_of_the_build_machine(unpacked: Path) -> None:
    assert not re.search(r"\((RPATH|RUNPATH)\)", readelf("--dynamic", unpacked / LIBRARY))


def test_the_plugin_exports_what_the_scanner_looks_for(unpacked: Path) -> None:
    exported = re.findall(r"FUNC\s+GLOBAL\s+DEFAULT\s+\d+\s+(\S+)", readelf("--dyn-syms", unpacked / LIBRARY))
    assert "gst_plugin_iceoryx2_get_desc" in exported


def test_leaving_the_plugin_out_gives_an_any_wheel_however_much_lies_in_the_tree(
    plugin_in_tree: Path, tmp_path: Path
) -> None:
    assert plugin_in_tree.is_file()
    wheel = built_wheel("skip", tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert [name for name in names_in(wheel) if name.startswith(f"{PLUGINS}/")] == [REASON]
    assert "IOX2_VIDEO_NATIVE=skip" in text_in(wheel, REASON)
    assert plugin_in_tree.is_file(), "building a wheel must not touch the source tree"


def test_a_machine_without_tools_gets_an_any_wheel_that_says_what_was_missing(tmp_path: Path) -> None:
    wheel = built_wheel("auto", tmp_path, PATH="/nonexistent", HOME="/nonexistent")
    assert wheel.name.endswith("-py3-none-any.whl")
    reason = text_in(wheel, REASON)
    assert re.search(r"Rust 1\.\d+ or newer \(cargo: not found\)", reason)
    assert "C compiler" in reason
    assert "pkg-config" in reason


def test_a_machine_with_an_old_rust_is_told_its_version(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "cargo").write_text("#!/bin/sh\necho 'cargo 1.63.1 (fd9c4297c 2022-07-01)'\n")
    (tools / "cargo").chmod(0o755)
    done = run_build("require", tmp_path, PATH=f"{tools}:/usr/bin:/bin", HOME="/nonexistent")
    assert done.returncode != 0
    assert "(cargo: 1.63)" in done.stdout + done.stderr


def test_a_plugin_that_does_not_compile_fails_the_build_with_cargos_words(plugin_in_tree: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "cargo").write_text(
        "#!/bin/sh\n"
        "[ \"$1\" = --version ] && echo 'cargo 1.999.0' && exit\n"
        "echo 'error[E0425]: words of cargo' >&2\n"
        "exit 101\n"
    )
    (tools / "cargo").chmod(0o755)
    done = run_build("auto", tmp_path, PATH=f"{tools}:/usr/bin:/bin")
    assert done.returncode != 0
    assert "words of cargo" in done.stdout + done.stderr
    assert "IOX2_VIDEO_NATIVE=skip" in done.stdout + done.stderr


def test_an_unknown_wish_is_refused(tmp_path: Path) -> None:
    done = run_build("maybe", tmp_path)
    assert done.returncode != 0
    assert "must be auto, require or skip" in done.stdout + done.stderr


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(tmp_path)], check=True)
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    assert not (source / "python" / PLUGINS).exists(), "a compiled plugin has no place in a source distribution"
    # The same target folder, so that nothing is compiled again.
    target = ROOT / "target"
    again = built_wheel("require", tmp_path / "again", source, CARGO_TARGET_DIR=str(target))
    assert names_in(again) == names_in(wheel)
    assert again.name == wheel.name
    shutil.rmtree(source)
