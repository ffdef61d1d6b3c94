"""The document of a preview: one HTML page that contains its style and its scripts."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Final

# They share one scope, in this order.
_SCRIPTS: Final = ("common", "decoder", "results", "drawing", "stream", "charts", "page")


def document() -> tuple[str, str]:
    """Return the page and its Content-Security-Policy, which allows only the page's own script and style by hash."""
    style, script = _read("page.css"), "\n".join(_read(f"{name}.js") for name in _SCRIPTS)
    text = _read("page.html").replace("<style>", f"<style>{style}").replace("<script>", f"<script>{script}")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


def _read(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text("utf-8")


def _hash(part: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
