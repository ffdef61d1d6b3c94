"""The example launch line in the documentation of each element and of the device provider runs."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Place
from tests.gst.remote import ROOT, run
from tests.waiting import wait_until

SECTION = re.compile(
    r"^//! SECTION:\w+-(\w+)$.*?^//! ## Example launch line\n//!\n//! ```bash\n//! (.*?)\n//! ```$", re.M | re.S
)
LINES = {
    name: line
    for file in (ROOT / "crates/gst/src").rglob("*.rs")
    for name, line in SECTION.findall(file.read_text(encoding="utf-8"))
}


def test_each_element_and_the_provider_has_a_launch_line() -> None:
    assert sorted(LINES) == ["iceoryx2deviceprovider", "iceoryx2sink", "iceoryx2src", "sh4ltsink", "sh4ltsrc"]


def started(line: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line.split(), env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def interrupted(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C and return what the process has printed."""
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    return printed


@pytest.mark.parametrize("protocol", ["iceoryx2", "sh4lt"])
@pytest.mark.proves("E2")
def test_the_lines_of_a_sink_and_its_source_run_together(
    environment: dict[str, str], tmp_path: Path, protocol: str
) -> None:
    sink, source = (LINES[protocol + kind].replace("/tmp/", f"{tmp_path}/") for kind in ("sink", "src"))
    publishing = started(sink, environment)
    # The window is replaced by a sink that ends the stream.
    shown = run(source.replace("autovideosink", "fakesink num-buffers=10").split(), environment, timeout=60)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Got EOS" in shown.stdout
    assert "ERROR" not in interrupted(publishing)


def test_the_line_of_the_device_provider_lists_a_service(environment: dict[str, str], domain: Place) -> None:
    publishing = started(LINES["iceoryx2sink"], environment)
    wait_until(lambda: any(path.name.endswith(".data") for path in domain.shared_memory()), 60)
    listed = run(LINES["iceoryx2deviceprovider"].split(), environment, timeout=60)
    interrupted(publishing)
    assert listed.returncode == 0, listed.stderr
    assert "video/cam0/frame/v2" in listed.stdout
