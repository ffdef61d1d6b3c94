"""Detect `gst-plugin-iceoryx2`, a different project whose package has the same import name as this one."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Final

_PREFIX: Final = "gst_plugin_iceoryx2-"


def namesake() -> str | None:
    """Return a warning text if the other distribution is installed, otherwise None."""
    folder = Path(__file__).parents[1]
    try:
        found = [name for name in os.listdir(folder) if name.startswith(_PREFIX) and name.endswith(".dist-info")]
    except OSError:
        return None
    if not found:
        return None
    return (
        f"iox2-video and gst-plugin-iceoryx2 are both installed in {folder}: they are different projects whose "
        "packages have the same name, so neither works; pip uninstall both, then install the one you want"
    )


@cache
def warn() -> None:
    """Warn once per process if the other distribution is installed."""
    sentence = namesake()
    if sentence is not None:
        warnings.warn(sentence, RuntimeWarning, stacklevel=3)
