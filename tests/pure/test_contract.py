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


SENTENCES = [
    "| {event_new} | publisher, after every sample |",
    "| {event_taken} | reader, ",
    "| {event_publishers_changed} | publisher | publishers changed",
    "| {event_found_first} + (port ID mod {event_found_count}) | reader, ",
    "buffer of {default_buffer_size_frames} frames, and {default_borrowed_max_frames} borrowed samples\n",
    "a history of {min_history_size_frames}, ",
    "- {default_max_subscribers} subscribers and {default_max_publishers} publisher\n",
    "start with {first_chunks} chunks",
    "1 ≤ width, height ≤ {max_dimension_pixels};",
    "the caps have at most {text_kib} KiB",
    "At most {max_metas} records and at most {aux_mib} MiB of the blob ",
    "Structure strings have at most {text_kib} KiB",
    "at most {max_custom_metas} new names ",
    "| {event_keyframe_wanted} | reader | the reader wants a keyframe |",
    "buffer of {packet_buffer_size} packets, {packet_borrowed_max} borrowed samples, a history of "
    "{packet_history_size}, ",
    "the payload has 1 to {max_packet_bytes} bytes.",
    "not within {span} s of the previous keyframe",
    "buffer of {results_buffer_size} results, {results_borrowed_max} borrowed samples, a history of "
    "{results_history_size}, ",
    "the payload has 1 to {max_results_bytes} bytes.",
    "`entries` is at most {max_results_sections}, ",
    "each text has at most {max_label_bytes} bytes",
    "with at most {max_mask_cells} cells",
    "at most {max_tensor_dimensions} dimensions; the name has at most {max_tensor_name_bytes} bytes",
    "the text has at most {max_results_json_bytes} bytes",
]
"""What SPEC.md says about numbers of limits.json."""


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_specification_states_the_limits(sentence: str) -> None:
    values = {name: value for name, (value, _) in contract("limits").items()}
    values |= {"text_kib": values["max_text_bytes"] // 1024, "aux_mib": values["max_aux_bytes"] // 2**20}
    values["span"] = values["keyframe_span_ms"] / 1000
    assert sentence.format_map(values) in (ROOT / "SPEC.md").read_text(encoding="utf-8")


# -- messages --------------------------------------------------------------------------------------------------------


def calls() -> list[tuple[str, set[str | None]]]:
    """Message and arguments of each call in the Python package that names its message."""
    found: list[tuple[str, set[str | None]]] = []
    for node in ast.walk(ast.parse(sources("python/gst_iceoryx2", ".py").replace("from __future__", "from future"))):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and called in ("message", "Fault.of", "Fault.in_section"):
            key = node.args[1 if called == "Fault.in_section" else 0]
            if isinstance(key, ast.Constant):
                prefix = "" if called == "message" else "fault_"
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
