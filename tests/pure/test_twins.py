"""The public names of the two SDKs: the same in Python and Rust, or in a table with the reason.

The Rust side is read from its text: the `pub use` of the crate, and the public fields and methods of its types.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gst_iceoryx2 import video

SOURCES = Path(__file__).parents[2] / "crates" / "core" / "src"

NUMPY = "numpy's arrays are ndarray's views"
RENAMED = {
    "header_pixels_to_numpy_view": ("header_pixels_to_ndarray_view", NUMPY),
    "LoanedFrame": ("Loan", "a loan in Rust is memory that is filled and sent with a header of the caller's"),
    "BUFFER_FLAGS": ("FLAGS_MASK", "the names of the flags, too, for programs without GStreamer"),
}
"""Python's name, Rust's name, and why they differ."""

PYTHON_ONLY = {
    "PublisherStats": "Rust has `turn().sequence()`; a dropped frame is an error",
    **dict.fromkeys(("FrameSet", "FrameSetStats", "FrameSets"), "frames of several cameras are matched in Python only"),
}
WIRE = "a part of the wire format that the elements use, and that Python keeps in submodules"
TUNING = "a setting of the elements that Python's publisher does not have"
RUST_ONLY = {
    **dict.fromkeys(("AuxRef", "AuxTemplate", "Meta", "MetaRef", "Stamp", "Structure", "Value"), WIRE),
    **dict.fromkeys(("decode_meta", "encode_record", "encode_reference_timestamp", "record_name"), WIRE),
    **dict.fromkeys(("Caps", "check_caps", "video_caps", "video_caps_with"), WIRE),
    **dict.fromkeys(("Fault", "MAX_DIMENSION", "NONE", "VideoFormat", "validate_aux_size"), WIRE),
    **dict.fromkeys(("boot_id", "monotonic_ns"), WIRE),
    **dict.fromkeys(("DEFAULT_MAX_LOANS", "DEFAULT_MAX_PUBLISHERS", "DEFAULT_MAX_SUBSCRIBERS", "MAX_PORTS"), TUNING),
    **dict.fromkeys(("PublisherBuilder", "SubscriberBuilder", "Received", "Requirements", "Turn", "Waiting"), TUNING),
    **dict.fromkeys(("FIRST_FRAMES", "Interrupt"), TUNING),
    **dict.fromkeys(("Carries", "Error", "Result", "FormatNameError"), "Python's errors are in gst_iceoryx2.errors"),
    **dict.fromkeys(("Obstacle", "ObstacleKind"), "Python's errors have a class for each kind"),
    **dict.fromkeys(("Domain", "DOMAIN_VARIABLE", "create_node_in"), "Python reads the environment only"),
    **dict.fromkeys(("IOX2_VERSION", "Iox", "Iox2Node", "VideoService"), "types of iceoryx2, untyped in Python"),
    "PropValue": "Python needs no enum for a value that is str, int or bool",
    "check_service_name": "Python's constructors check the name before anything else, too",
}


def text_of(module: str) -> str:
    return (
        (SOURCES / f"{module.replace('::', '/')}.rs")
        .read_text(encoding="utf-8")
        .partition("#[cfg(test)]\nmod tests")[0]
    )


def rust_names() -> set[str]:
    """What `use gst_plugin_iceoryx2_video::…` finds in the crate itself, its modules left out."""
    names: set[str] = set()
    for module, listed, single in re.findall(
        r"^pub use ([\w:]+)::(?:\{([^}]*)\}|(\w+|\*));", text_of("lib"), re.MULTILINE
    ):
        if single == "*":
            names.update(re.findall(r"^pub (?:const|struct|enum|fn) (\w+)", text_of(module), re.MULTILINE))
        else:
            names.update(re.findall(r"\w+", listed or single))
    return names


@pytest.mark.proves("P7")
def test_every_public_name_is_in_both_languages_or_has_a_reason() -> None:
    """`PACKED_FORMATS`, `create_listener` and others were in Python only."""
    python, rust = set(video.__all__), rust_names()
    assert len(rust) > 50
    renamed = {theirs for theirs, _ in RENAMED.values()}
    assert python - rust == PYTHON_ONLY.keys() | RENAMED.keys()
    assert rust - python == RUST_ONLY.keys() | renamed


# -- members ---------------------------------------------------------------------------------------------------------

HEADER = "in Rust it is read from `header()`"
STAMP = "in Rust it is read from `stamp()`"
AUX = "in Rust it is read from `parse_aux()`"
FILE = "Rust's own collection and drop do it"
MEMBERS: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "Qos": ({}, {}, {}),
    "FrameParams": ({}, {}, {"header": "the header that a publisher makes of it; Python's makes its own"}),
    "SinkConfig": ({}, {}, {"new": "Python's constructor"}),
    "ParsedAux": ({}, {}, {}),
    "SubscriberStats": ({}, {"skipped": "of `latest`, which Rust does not have"}, {}),
    "VideoFrameHeader": (
        {},
        {"type_name": "iceoryx2's Python binding asks for it"},
        {
            "set_format": "Python sets `format_name`",
            "eos": "Python's publisher writes it by itself",
            "same_layout": "for the elements",
            "pixel_size": "the frame tells it",
            "to_bytes": "Python has `bytes(header)`",
            "from_bytes": "Python has `from_buffer_copy`",
        },
    ),
    "VideoFrame": (
        {"numpy_view": "ndarray_view"},
        {
            **dict.fromkeys(("width", "height", "format", "pts", "dts", "duration", "offset", "flags"), HEADER),
            **dict.fromkeys(("captured_at", "age", "due_at", "sequence"), STAMP),
            **dict.fromkeys(("caps", "metas", "captured_at_error", "origin"), AUX),
            "planes": "Rust has `view::plane_view`, one plane a call",
            "to_rgb": "no conversion in Rust",
            "to_bgr": "no conversion in Rust",
            "release": FILE,
        },
        {
            "payload": "Python's aux blob is a private copy: there is no one run of bytes",
            "take_aux": "for the elements",
            "is_discontinuity": "for the elements",
        },
    ),
    "VideoFramePublisher": (
        {"service_name": "service"},
        {
            "publish": "takes arrays, which Rust does not know",
            "wait_for_subscribers": "Rust has `num_subscribers()` and `on_subscribers`",
            "qos": "adopted; Rust's builder refuses what it cannot have",
            "stats": "Rust has `turn().sequence()`; a dropped frame is an error",
            "close": FILE,
            "is_closed": FILE,
        },
        {
            "new": "Python's constructor",
            "with_node": "Python's argument `iox2_node`",
            "builder": "Python's keyword arguments",
            "publisher_id": "for the elements",
            "aux_bytes": "for the elements",
            "payload_alignment": "for the elements",
            "turn": "for the elements",
        },
    ),
    "VideoFrameSubscriber": (
        {"service_name": "service"},
        {
            "latest": "Rust's callers drop what they do not want",
            "caps": "of the latest frame; Rust's frames tell them",
            "close": FILE,
            "is_closed": FILE,
        },
        {
            "new": "Python's constructor",
            "with_node": "Python's argument `iox2_node`",
            "builder": "Python's keyword arguments",
            "interrupt": "Python's `close()` and Ctrl-C end a wait",
            "receive_timeout": "`receive_blocking` with another unit",
            "wait": "for the elements: tells why a wait ended",
            "take_news": "Python logs it",
            "take_trouble": "Python logs it",
        },
    ),
}
"""Type: other names in Rust; what is in Python only, in Rust only, with the reasons."""


def rust_members(kind: str) -> set[str]:
    """Public fields and methods of a type."""
    members: set[str] = set()
    block = re.compile(rf"^(?:pub struct|impl) {kind}(?:<[^>]*>)? \{{\n(.*?)^\}}", re.MULTILINE | re.DOTALL)
    for path in SOURCES.rglob("*.rs"):
        text = path.read_text(encoding="utf-8").partition("#[cfg(test)]\nmod tests")[0]
        for body in block.findall(text):
            members.update(re.findall(r"^    pub (?:const )?(?:unsafe )?(?:fn )?(\w+)[:(<]", body, re.MULTILINE))
    return members


def python_members(kind: str) -> set[str]:
    cls = getattr(video, kind)
    inherited = set(dir(tuple)) | set(dir(object))
    names = {name for name in dir(cls) if name[0] != "_"} - inherited
    return names | set(getattr(cls, "_fields", ()) if issubclass(cls, tuple) else ()) - {"count", "index"}


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.proves("P7")
def test_every_public_member_is_in_both_languages_or_has_a_reason(kind: str) -> None:
    renamed, python_only, rust_only = MEMBERS[kind]
    python, rust = python_members(kind), rust_members(kind)
    assert rust
    assert python - rust == python_only.keys() | renamed.keys()
    assert rust - python == rust_only.keys() | set(renamed.values())


def test_the_arguments_that_programs_rely_on_have_their_order_in_rust() -> None:
    signatures = {
        "publisher/mod": "pub fn with_node(node: Iox2Node, service: &str, max_bytes: usize) -> Result<Self>",
        "subscriber/mod": "pub fn with_node(node: Iox2Node, service: &str) -> Result<Self>",
        "wire::auxblob": "pub fn build_aux(caps: &str, metas: &[impl AsRef<[u8]>], limit: Option<usize>) -> Vec<u8>",
        "wire::header": "pub fn format_name(&self) -> &str",
        "raw": "pub fn open_video_service(node: &Iox2Node, service: &str, qos: Qos) -> Result<VideoService>",
    }
    for module, signature in signatures.items():
        assert signature in text_of(module)


def test_the_arguments_of_create_listener_have_their_names() -> None:
    assert inspect.signature(video.create_listener).parameters.keys() == {"node", "name"}
