"""The data that both languages read: every entry is used by both, or it is listed here with the reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from gst_iceoryx2.contract import contract, message

ROOT = Path(__file__).parents[2]
SUBSCRIBERS_ONLY_NOTIFY = "a Python publisher is never lossless, so it listens to no events"
GSTREAMER = "Python registers no metas with GStreamer"
IMPLIED = {"event_new": "iceoryx2's plain `notify()` sends it"}
RUST_ONLY = {
    "connect_lossless": SUBSCRIBERS_ONLY_NOTIFY,
    "found_timeout": SUBSCRIBERS_ONLY_NOTIFY,
    "found_silent": SUBSCRIBERS_ONLY_NOTIFY,
    "max_custom_metas": GSTREAMER,
}


def sources(folder: str, suffix: str) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob(f"*{suffix}")))


def used_names(language: str) -> set[str]:
    if language == "python":
        return set(re.findall(r'\b(?:limit|seconds)\(\s*"(\w+)"', sources("python/gst_iceoryx2", ".py")))
    return {name.lower() for name in re.findall(r"\blimits::([A-Z]\w+)", sources("crates/core/src", ".rs"))}


@pytest.mark.parametrize("language", ["python", "rust"])
def test_every_limit_is_used_by_both_languages_or_has_a_reason(language: str) -> None:
    names = {name.removesuffix("_ms") for name in contract("limits")}
    used = {name.removesuffix("_ms") for name in used_names(language)}
    assert used <= names
    unused = names - used - IMPLIED.keys()
    assert unused == (RUST_ONLY.keys() if language == "python" else set())


def test_every_limit_is_a_number_with_its_reason() -> None:
    for name, (value, why) in contract("limits").items():
        assert isinstance(value, int), name
        assert why.endswith("."), name


# -- messages --------------------------------------------------------------------------------------------------------


def calls() -> list[tuple[str, set[str | None]]]:
    """Message and arguments of each call in the Python package that names its message."""
    found: list[tuple[str, set[str | None]]] = []
    for node in ast.walk(ast.parse(sources("python/gst_iceoryx2", ".py").replace("from __future__", "from future"))):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and called in ("message", "Fault.of"):
            key = node.args[0]
            if isinstance(key, ast.Constant):
                prefix = "fault_" if called == "Fault.of" else ""
                found.append((f"{prefix}{key.value}", {keyword.arg for keyword in node.keywords}))
    return found


def test_every_message_gets_the_values_that_it_shows() -> None:
    assert len(calls()) > 20
    for key, arguments in calls():
        assert arguments == {name for _, name, _, _ in Formatter().parse(contract("messages")[key]) if name}, key


def test_a_quoted_text_cannot_steer_a_terminal() -> None:
    """Rust writes quoted texts with `{:?}`; tests/behaviour/test_limits.py compares both languages."""
    shown = message("name_contains", character='\u202e\x1b\x7f\0\t\r\n"\\é☃ ')
    assert shown == r'it contains "\u{202e}\u{1b}\u{7f}\0\t\r\n\"\\é☃ "'


@pytest.mark.parametrize("language", ["python", "rust"])
def test_every_message_is_used_by_both_languages(language: str) -> None:
    if language == "python":
        code = sources("python/gst_iceoryx2", ".py")
        used = {key for key, _ in calls()} | {key for key in contract("messages") if f'"{key}"' in code}
    else:
        used = set(re.findall(r"\bmessages::(\w+)", sources("crates/core/src", ".rs")))
    assert not contract("messages").keys() - used
