"""Check the files of a release: `python tools/check_release.py dist`.

Prints one line for each file, or the first fault. `make release` builds the files and calls this program.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLIBC_FLOOR = (2, 34)
"""Newest glibc that a wheel may ask for; iceoryx2's own wheel asks for the same."""

PLUGINS = "gst_iceoryx2/plugins"
BINARIES = (f"{PLUGINS}/libgsticeoryx2.so", f"{PLUGINS}/iceoryx2-cleanup")
CRATES = {"iox2-video-core": "core", "iox2-video-shmdata": "shmdata", "iox2-video": "gst"}
ROOT_OF_SDIST = {
    "CHANGELOG.md", "Cargo.lock", "Cargo.toml", "LICENSE", "PKG-INFO", "README.md", "SPEC.md", "hatch_build.py",
    "pyproject.toml", ".gitignore",
}  # fmt: skip
# What cargo adds, and what it takes from the root of the repository.
ADDED_TO_CRATE = {"Cargo.lock", "Cargo.toml.orig", ".cargo_vcs_info.json", "README.md"}
MAX_CRATE = 10 << 20
"""Bytes of the largest package that crates.io takes."""


class ReleaseError(Exception):
    """A file of the release is not as it should be."""


def sources(folder: str) -> set[str]:
    """Files below a folder of the repository that a release contains, relative to that folder."""
    files = (path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path) for path in files if not {"__pycache__", "plugins"} & set(path.parts)}


def sources_of_crate(name: str) -> set[str]:
    """Files that a crate takes from its folder: all except the files that its manifest excludes."""
    folder = f"crates/{CRATES[name]}"
    excluded = re.search(r"^exclude = (\[.*\])$", (ROOT / folder / "Cargo.toml").read_text(), re.MULTILINE)
    return sources(folder) - set(json.loads(excluded[1]) if excluded else ())


def require_same(name: str, found: set[str], wanted: set[str]) -> None:
    """Compare the contents of an archive with what it should contain.

    Raises:
        ReleaseError: A file is missing, or one too many.
    """
    faults = [f"lacks {file}" for file in sorted(wanted - found)]
    faults += [f"has {file}, which is not part of it" for file in sorted(found - wanted)]
    if faults:
        raise ReleaseError(f"{name}: {'; '.join(faults)}")


def newest_glibc(binary: Path) -> tuple[int, int]:
    """Newest glibc version that a binary asks for; (0, 0) without glibc."""
    answer = subprocess.run(
        ["readelf", "--wide", "--version-info", str(binary)], capture_output=True, text=True, check=True
    )
    asked = re.findall(r"Name: GLIBC_(\d+)\.(\d+)", answer.stdout)
    return max(((int(major), int(minor)) for major, minor in asked), default=(0, 0))


def check_glibc(wheel: str, asked: tuple[int, int]) -> None:
    """Compare the tag in a wheel's name with what its binaries ask for, and both with the floor.

    Raises:
        ReleaseError: The tag is not the newest version asked for, or is above the floor.
    """
    tag = re.search(r"-py3-none-manylinux_(\d+)_(\d+)_\w+\.whl$", wheel)
    if tag is None:
        raise ReleaseError(f"{wheel}: not tagged py3-none-manylinux; was it built without the plugin?")
    tagged = (int(tag[1]), int(tag[2]))
    if tagged != asked:
        raise ReleaseError(f"{wheel}: the tag says glibc {_dotted(tagged)}, the binaries ask for {_dotted(asked)}")
    if asked > GLIBC_FLOOR:
        raise ReleaseError(
            f"{wheel}: the binaries ask for glibc {_dotted(asked)}, the promised floor is {_dotted(GLIBC_FLOOR)}; "
            "build on Debian 12"
        )


def check_wheel(wheel: Path) -> str:
    """Check tag, glibc floor and contents of the wheel."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        metadata = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
        added = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
        require_same(wheel.name, names, sources("python") | set(BINARIES) | {f"{metadata}/{name}" for name in added})
        asked = max(newest_glibc(Path(archive.extract(name, folder))) for name in BINARIES)
    check_glibc(wheel.name, asked)
    return f"{len(names)} files, glibc {_dotted(asked)} or newer"


def check_sdist(sdist: Path) -> str:
    """Check the contents of the source distribution."""
    found = _names_in(sdist)
    folders = {f"{folder}/{name}" for folder in ("crates", "python") for name in sources(folder)}
    require_same(sdist.name, found, folders | ROOT_OF_SDIST)
    return f"{len(found)} files"


def check_crate(crate: Path) -> str:
    """Check the contents and the size of a crate."""
    found = _names_in(crate)
    name = re.sub(r"-\d.*", "", crate.name)
    require_same(crate.name, found, sources_of_crate(name) | ADDED_TO_CRATE)
    size = crate.stat().st_size
    if size > MAX_CRATE:
        raise ReleaseError(f"{crate.name}: {size} bytes; crates.io takes at most {MAX_CRATE}")
    return f"{len(found)} files"


def check(dist: Path) -> Iterator[str]:
    """Check all files of a release; a line for each.

    Raises:
        ReleaseError: A file is missing, superfluous or wrong.
    """
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version is not None
    wheels = {path.name for path in dist.glob("*.whl")}
    if len(wheels) != 1:
        raise ReleaseError(f"{dist}: {len(wheels)} wheels instead of 1")
    crates = {f"{name}-{version[1]}.crate" for name in CRATES}
    require_same(
        str(dist), {path.name for path in dist.iterdir()}, wheels | crates | {f"iox2_video-{version[1]}.tar.gz"}
    )
    for path in sorted(dist.iterdir()):
        kind = {".whl": check_wheel, ".gz": check_sdist, ".crate": check_crate}[path.suffix]
        yield f"{path.name}: {kind(path)}"


def _names_in(archive: Path) -> set[str]:
    """Files in a tar archive, without its top folder."""
    with tarfile.open(archive) as content:
        return {member.name.partition("/")[2] for member in content if not member.isdir()}


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def main() -> None:
    """Check the folder given on the command line."""
    try:
        for line in check(Path(sys.argv[1])):
            print(line)
    except ReleaseError as error:
        sys.exit(f"check_release.py: {error}")


if __name__ == "__main__":
    main()
