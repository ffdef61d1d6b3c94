"""gst-inspect-1.0 describes the elements completely, and launch lines run."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from tests.gst.remote import run

# The published properties: type and default.
SINK = {
    "service": ("String", '"video/default/frame/v2"'),
    "max-bytes": ("Unsigned Integer", "0"),
    "buffer-size": ("Unsigned Integer", "10"),
    "borrowed-max": ("Unsigned Integer", "10"),
    "history-size": ("Unsigned Integer", "0"),
    "safe-overflow": ("Boolean", "true"),
    "wait-for-connection": ("Boolean", "false"),
    "lossless": ("Boolean", "false"),
    "aux-bytes": ("Unsigned Integer", "4096"),
    "num-clients": ("Unsigned Integer", None),
    "frames-sent": ("Unsigned Integer64", None),
    "frames-zero-copy": ("Unsigned Integer64", None),
    "frames-copied": ("Unsigned Integer64", None),
    "enable-last-sample": ("Boolean", "false"),
}
SOURCE = {
    "service": ("String", '"video/default/frame/v2"'),
    "buffer-size": ("Unsigned Integer", "10"),
    "borrowed-max": ("Unsigned Integer", "10"),
    "history-size": ("Unsigned Integer", "0"),
    "safe-overflow": ("Boolean", "true"),
    "frames-received": ("Unsigned Integer64", None),
}


def inspect(element: str, environment: Mapping[str, str]) -> str:
    found = run(["gst-inspect-1.0", "--no-colors", element], environment)
    assert found.returncode == 0, found.stderr
    assert "WARNING" not in found.stderr, found.stderr
    return found.stdout


def test_the_plugin_names_its_own_project(environment: dict[str, str]) -> None:
    """It named another project, which has the package's former name."""
    details = inspect("iceoryx2", environment)
    assert re.search(r"Origin URL +https://crates.io/crates/iox2-video$", details, re.MULTILINE)
    assert re.search(r"Source module +iox2-video$", details, re.MULTILINE)


def properties(text: str) -> dict[str, str]:
    """Return the description of each property, as gst-inspect prints it."""
    section = text.split("Element Properties:", 1)[1]
    parts = re.split(r"^  ([a-z][a-z0-9-]*) *: ", section, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("element", "expected"), [("iceoryx2sink", SINK), ("iceoryx2src", SOURCE)])
@pytest.mark.proves("E2")
def test_the_elements_have_the_published_properties(
    plugin_environment: dict[str, str], element: str, expected: dict[str, tuple[str, str | None]]
) -> None:
    found = properties(inspect(element, plugin_environment))
    for name, (kind, default) in expected.items():
        text = found[name]
        assert re.search(rf"{kind}\. ", text), (name, text)
        if default is None:
            assert "writable" not in text, name
        else:
            assert "writable" in text, name
            assert re.search(rf"Default: {re.escape(default)}(\s|$)", text), (name, text)


@pytest.mark.parametrize(("element", "klass"), [("iceoryx2sink", "Sink/Video"), ("iceoryx2src", "Source/Video")])
@pytest.mark.proves("E2")
def test_every_property_explains_itself(plugin_environment: dict[str, str], element: str, klass: str) -> None:
    text = inspect(element, plugin_environment)
    assert re.search(rf"Klass +{klass}\n", text)
    for name, description in properties(text).items():
        blurb = description.splitlines()[0]
        assert len(blurb) > 10 or name in ("name", "parent", "sync", "qos"), (name, blurb)
        # If zero is the default, the description explains it.
        if re.search(r"Unsigned Integer\. .*Default: 0 *$", description, re.MULTILINE) and "writable" in description:
            assert "0 = " in blurb, (name, blurb)


def test_the_sink_tells_who_connects(plugin_environment: dict[str, str]) -> None:
    text = inspect("iceoryx2sink", plugin_environment)
    for signal in ("client-connected", "client-disconnected"):
        assert re.search(rf'"{signal}" :.*\n.*guint arg0', text), text


def test_the_plugin_names_its_licence_version_and_file(plugin_environment: dict[str, str]) -> None:
    text = inspect("iceoryx2", plugin_environment)
    assert re.search(r"License +MIT", text)
    assert re.search(r"Version +\d+\.\d+\.\d+", text)
    assert re.search(r"Filename .*/libgsticeoryx2\.so\n", text)
    for element in ("iceoryx2sink", "iceoryx2src"):
        assert f"  {element}: " in text


LINES = [
    "videotestsrc num-buffers=20 ! video/x-raw,width=320,height=240 ! iceoryx2sink service=video/cam0/frame/v2",
    "videotestsrc num-buffers=20 ! videoconvert ! video/x-raw,format=BGR,width=640,height=640 ! iceoryx2sink",
    'videotestsrc num-buffers=20 ! iceoryx2sink service="a camera/in the hall" buffer-size=4 borrowed-max=4 '
    "max-subscribers=2 aux-bytes=0 max-bytes=1000000",
    "videotestsrc num-buffers=20 ! iceoryx2sink lossless=true",
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.proves("E2")
def test_a_launch_line_ends_by_itself_and_leaves_nothing(environment: dict[str, str], line: str) -> None:
    done = run(["gst-launch-1.0", *line.split(" ! ")[0].split(), *_rest(line)], environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Got EOS from element" in done.stdout
    assert "ERROR" not in done.stdout + done.stderr


def _rest(line: str) -> list[str]:
    import shlex

    words = []
    for part in line.split(" ! ")[1:]:
        words += ["!", *shlex.split(part)]
    return words
