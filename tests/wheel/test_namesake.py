"""An environment with `gst-plugin-iceoryx2`, another project whose package has the same import name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "python" / "gst_iceoryx2"
PROGRAM = "import gst_iceoryx2, gst_iceoryx2.cli; from gst_iceoryx2._namesake import namesake; print(namesake())"


def test_an_environment_with_both_distributions_gets_one_sentence(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "gst_iceoryx2", ignore=shutil.ignore_patterns("plugins", "__pycache__"))
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {PROGRAM}"]
    alone = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (alone.stdout, alone.stderr) == ("None\n", "")
    (tmp_path / "gst_plugin_iceoryx2-0.0.6.dist-info").mkdir()
    both = subprocess.run(command, capture_output=True, text=True, check=True)
    assert both.stderr.count("iox2-video and gst-plugin-iceoryx2 are both installed") == 1
    assert "RuntimeWarning" in both.stderr
    assert str(tmp_path) in both.stdout
