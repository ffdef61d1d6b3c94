"""The log of this package: what it says of others' names and texts steers no terminal, and stays in its line."""

from __future__ import annotations

import logging
from typing import Final

from ._text import printable

log: Final = logging.getLogger("gst_iceoryx2")
"""Logger of the whole package."""


def _make_printable(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), None
    return True


log.addFilter(_make_printable)
