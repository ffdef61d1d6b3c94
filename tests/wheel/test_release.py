"""The checks of `make release`."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.wheel.builds import ROOT
from tools import check_release
from tools.check_release import ReleaseError, check_crate, check_glibc, check_sdist, check_wheel, newest_glibc

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files"),
]


def test_a_wheel_that_asks_for_a_newer_glibc_than_promised_is_refused() -> None:
    check_glibc("iox2_video-0.1.0-py3-none-manylinux_2_34_x86_64.whl", (2, 34))
    with pytest.raises(ReleaseError, match=r"ask for glibc 2\.39, the promised floor is 2\.34"):
        check_glibc("iox2_video-0.1.0-py3-none-manylinux_2_39_x86_64.whl", (2, 39))


def test_a_tag_that_promises_an_older_glibc_than_the_binaries_need_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"the tag says glibc 2\.17, the binaries ask for 2\.34"):
        check_glibc("iox2_video-0.1.0-py3-none-manylinux_2_17_x86_64.whl", (2, 34))


def test_a_wheel_without_the_plugin_is_refused() -> None:
    with pytest.raises(ReleaseError, match="not tagged py3-none-manylinux"):
        check_glibc("iox2_video-0.1.0-py3-none-any.whl", (0, 0))


def test_the_wheel_that_the_build_hook_makes_passes(wheel: Path) -> None:
    assert "glibc 2." in check_wheel(wheel)


def test_the_newest_glibc_is_that_of_the_symbol_versions(plugin_in_tree: Path) -> None:
    symbols = subprocess.run(["objdump", "-T", str(plugin_in_tree)], capture_output=True, text=True, check=True).stdout
    major, minor = newest_glibc(plugin_in_tree)
    assert f"GLIBC_{major}.{minor}" in symbols
    assert f"GLIBC_{major}.{minor + 1}" not in symbols


def test_the_source_distribution_has_what_the_repository_has_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    assert "files" in check_sdist(sdist)


@pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")
def test_the_crates_have_what_their_folders_have_and_nothing_else(tmp_path: Path) -> None:
    command = ["cargo", "package", "--workspace", "--no-verify", "--offline", "--allow-dirty"]
    subprocess.run([*command, "--target-dir", str(tmp_path)], cwd=ROOT, check=True)
    crates = list((tmp_path / "package").glob("*.crate"))
    assert len(crates) == len(check_release.CRATES)
    for crate in crates:
        assert "files" in check_crate(crate)


def test_a_crate_that_lacks_its_licence_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "iox2-video-shmdata-0.1.0.crate"
    files = check_release.sources_of_crate("iox2-video-shmdata")
    with tarfile.open(path, "w:gz") as archive:
        for name in (files | check_release.ADDED_TO_CRATE) - {"LICENSE"}:
            archive.addfile(tarfile.TarInfo(f"iox2-video-shmdata-0.1.0/{name}"), io.BytesIO())
    with pytest.raises(ReleaseError, match=r"iox2-video-shmdata-0\.1\.0\.crate: lacks LICENSE$"):
        check_crate(path)
