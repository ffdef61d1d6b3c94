"""The elements survive crafted caps and metas without a crash, a hang or a GLib warning, and the stream goes on."""

from __future__ import annotations

import base64
import random
import re
import struct
from collections.abc import Callable, Sequence

import pytest

from gst_iceoryx2._wire.metas import encode_meta
from gst_iceoryx2.video import CustomMeta, build_aux
from tests.damage import FACTOR, damaged, sound_blob, sound_frame
from tests.gst.remote import RemoteError, Stage
from tests.transport.raw import RawPublisher
from tests.waiting import wait_until

FORMAT, WIDTH, HEIGHT = "BGR", 16, 8
HEADER, SIZE = sound_frame(FORMAT, WIDTH, HEIGHT)
CAPS = f"video/x-raw, format=(string){FORMAT}, width=(int){WIDTH}, height=(int){HEIGHT}"
SOUND = build_aux(CAPS, [encode_meta(CustomMeta("AimPoint", {"x": 1}))])


@pytest.fixture
def victim(stages: Callable[..., Stage], service: str, liar: RawPublisher) -> Stage:
    """A pipeline that receives frames and publishes them again, so that metas are read and written."""
    stage = stages()
    stage.play(
        f"iceoryx2src name=in service={service} ! tee name=through ! iceoryx2sink service=onwards sync=false"
        " through. ! videoscale ! video/x-raw,width=32 ! videoconvert ! fakesink async=false"
    )
    feed(stage, liar, [SOUND])
    return stage


def feed(victim: Stage, liar: RawPublisher, blobs: Sequence[bytes]) -> int:
    """Send frames with these blobs, wait for all of them, and return how many the source refused."""

    def seen() -> int:
        return int(victim.get("in", "frames-received") + victim.get("in", "frames-invalid"))

    count, refused = seen(), victim.get("in", "frames-invalid")
    for begin in range(0, len(blobs), 8):
        some = blobs[begin : begin + 8]
        for blob in some:
            HEADER.aux_size = len(blob)
            liar.send(HEADER, bytes(SIZE) + blob)
        count += len(some)
        wait_until(lambda: seen() >= count)  # noqa: B023 (called at once)
    return int(victim.get("in", "frames-invalid")) - refused


def record(
    name: bytes, payload: bytes, version: int = 0, name_len: int | None = None, size: int | None = None
) -> bytes:
    """Return a meta record. Its numbers may be wrong."""
    total = 10 + len(name) + len(payload) if size is None else size
    return struct.pack("<II", total, len(name) if name_len is None else name_len) + name + bytes([0, version]) + payload


def custom(text: str, name: str = "AimPoint") -> bytes:
    return record(name.encode(), text.encode() + b"\0")


def reference(caps: str, info: str = "") -> bytes:
    tail = info.encode() + b"\0" if info else b""
    return record(b"GstReferenceTimestampMeta", struct.pack("<QQ", 1, 2) + caps.encode() + b"\0" + tail)


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode() + b"\0").decode().replace("=", "_")


# The base64 of a sample hides brackets from a check that counts them.
SAMPLES = [
    f"(sample)00:{base64_of('video/x-raw, a=' + '{' * 8000)}:None:None",
    f"(GstSample)00:None:None:{base64_of('x, a=' + '[a,a=' * 1500)}",
    f"( sample )00:None:{base64_of('x, a=' + '<' * 5000)}:None",
    f"{{ (sample)00:None:None:{base64_of('x, a=' + '[a,a=' * 40)} }}",
]
VALUES = [
    *SAMPLES,
    "(int)[ 5, 1 ]",
    "(int)[ 1, 10, 7 ]",
    "(double)[ 1, nan ]",
    "(fraction)1/0",
    "(fraction)[ 1/1, 0/1 ]",
    "(GstCapsFeatures)1e999",
    '(GstCaps)"video\\/x-raw\\(1\\)"',
    '(structure)"x\\,\\ a\\=\\(GstCapsFeatures\\)1\\;"',
    '(taglist)"taglist\\,\\ a\\=1\\;"',
    '(GstSegment)"segment\\;"',
    "(GType)GstElement",
    "(GstElement)a",
    "(GstNoSuchType)a",
    "(buffer)00zz",
    "(bitmask)0xffffffffffffffffffff",
    "(flagset)1:2:3:4",
    "(GstVideoMultiviewFlagsSet)ffffffffff:+a/b",
    "(date)9999-99-99",
    "(datetime)2026-13-45T99:99:99Z",
    "(double)nan",
    "(double)1e999",
    "(int)99999999999999999999",
    '(string)"\\377\\376"',
    '(string)"\\0"',
    '"a b"',
    "*",
    "{ 1, a, 0.5, 1/2, { } }",
    "{ NULL, a }",
    "(string){ NULL }",
    "<<<<<<<1>>>>>>>",
    "<<<<<<<<<1>>>>>>>>>",
]
TYPES = re.findall(
    r"\S+",
    """
    int uint gint64 guint64 uchar float double string boolean fraction bitmask buffer sample caps GstCaps structure
    taglist date datetime GstSegment GType GstIntRange GstFractionRange flagset GstVideoMultiviewFlagsSet GStrv GBytes
    GstCapsFeatures GstObject GstValueList GstValueArray array list GValueArray gpointer GstVideoMeta
    GstAllocationParams""",
)
WORDS = re.findall(
    r"\S+",
    """
    0 1 -1 5 99999999999999999999 0x10 1/2 1/0 nan inf 1e999 true none abc a.b 2020-01-01 2020-01-01T00:00:00Z 0:1:2
    ff:00 0:ffffffff: deadbeef TCODE NULL 00:None:None:None 00:AAAA:None:None 00:None:AAAA:AAAA 1:1 +1 gint GstBuffer
    mono""",
)
RECORDS = {
    "lengths beyond the record": record(b"GstReferenceTimestampMeta", b"x" * 30, name_len=0xFFFFFFFF),
    "a length that wraps": record(b"GstReferenceTimestampMeta", b"x" * 30, name_len=0xFFFFFFF7),
    "a size that lies": record(b"GstReferenceTimestampMeta", b"x" * 30, size=0xFFFFFFFF),
    "no name": record(b"", b"x"),
    "a name with NUL": record(b"Gst\0Meta", b"x"),
    "a name of 20000 bytes": record(b"A" * 20000, b"x"),
    "no terminators": record(b"GstReferenceTimestampMeta", struct.pack("<QQ", 1, 2) + b"timestamp/x-unix"),
    "times only": record(b"GstReferenceTimestampMeta", struct.pack("<QQ", 1, 2)),
    "a newer version": record(b"GstReferenceTimestampMeta", struct.pack("<QQ", 1, 2) + b"a/b\0", version=1),
    "any caps": reference("ANY"),
    "no caps": reference("]]]]"),
    "deep caps": reference("a/b, x=" + "{" * 7000),
    "an info of nonsense": reference("a/b", "\x01\x02"),
    "a sample in the info": reference("a/b", f"info, s={SAMPLES[1]};"),
    "an unknown meta": record(b"SomebodysOwnMeta", bytes(range(200)), version=7),
    "a caption without text": record(b"GstVideoCaptionMeta", b""),
    "a caption of 4 GB": record(b"GstVideoCaptionMeta", struct.pack("<II", 1, 0xFFFFFFFF)),
    "audio of 4 GB": record(b"GstAudioMeta", b"\xff" * 24),
    "the meta that the header is": record(b"GstVideoMeta", b"\xff" * 100),
    "a custom meta called as a buffer": custom("GstBuffer, a=(int)1;", "GstBuffer"),
    "a custom meta called as a video meta": custom("GstVideoMeta, a=(int)1;", "GstVideoMeta"),
    "a custom meta called as a type": custom("gint, a=(int)1;", "gint"),
    "a custom meta of another name": custom("Other, a=(int)1;"),
    "a custom meta of nonsense": custom("AimPoint, ;;;=,"),
    **{f"a reference with {value[:30]}": reference(f"timestamp/x-unix, a={value}") for value in VALUES},
    **{f"a meta with {value[:30]}": custom(f"AimPoint, a={value}, b=(int)1;") for value in VALUES},
}
CAPS_TEXTS = {
    "two structures": f"{CAPS}; {CAPS}",
    "any": "ANY",
    "odd features": CAPS.replace("x-raw", "x-raw(1e999)"),
    "an unknown feature": CAPS.replace("x-raw", "x-raw(a:b)"),
    "an unknown colorimetry": f"{CAPS}, colorimetry=(string)no-such",
    "numbers of colorimetry": f"{CAPS}, colorimetry=(string)99:99:99:99",
    "an unknown interlacing": f"{CAPS}, interlace-mode=(string)none, field-order=(string)none",
    "views": f"{CAPS}, multiview-mode=(string)stereo, multiview-flags=(GstVideoMultiviewFlagsSet)9:zz, views=(int)-5",
    "an unknown view": f"{CAPS}, multiview-mode=(string)xx",
    "a view that is none": f"{CAPS}, multiview-mode=(string)none",
    "a view of another type": f"{CAPS}, multiview-mode=(int)3",
    "no views": f"{CAPS}, views=(int)0",
    "unknown flags": f"{CAPS}, multiview-flags=(string)xx",
    "an unknown place of chroma": f"{CAPS}, chroma-site=(string)xx",
    "an unknown field order": f"{CAPS}, interlace-mode=(string)interleaved, field-order=(string)xx",
    "an aspect of nothing": f"{CAPS}, pixel-aspect-ratio=(fraction)0/1",
    "an aspect below nothing": f"{CAPS}, pixel-aspect-ratio=(fraction)-1/1",
    "an aspect of another type": f"{CAPS}, pixel-aspect-ratio=(string)xx",
    "a framerate below nothing": f"{CAPS}, framerate=(fraction)-30/1, max-framerate=(fraction)-1/1",
    "a framerate of another type": f"{CAPS}, framerate=(int)30",
    **{f"a field {value[:30]}": f"{CAPS}, a={value}" for value in VALUES},
}


def attack(victim: Stage, liar: RawPublisher, blobs: dict[str, bytes]) -> dict[str, int]:
    """Send crafted blobs between valid ones, and return how many frames each one cost. Failures name the blob."""
    cost = {}
    for name, blob in blobs.items():
        try:
            cost[name] = feed(victim, liar, [blob, SOUND, SOUND])
        except (AssertionError, RemoteError) as error:
            raise AssertionError(f"{name}: {error}") from error
    return cost


@pytest.mark.proves("H3")
def test_a_crafted_meta_costs_at_most_itself(victim: Stage, liar: RawPublisher) -> None:
    cost = attack(victim, liar, {name: build_aux(CAPS, [record] * 3) for name, record in RECORDS.items()})
    assert set(cost.values()) == {0}, cost


@pytest.mark.proves("H3", "W2")
def test_crafted_caps_cost_at_most_their_frame(victim: Stage, liar: RawPublisher) -> None:
    cost = attack(victim, liar, {name: build_aux(caps, []) for name, caps in CAPS_TEXTS.items()})
    assert set(cost.values()) == {0, 1}, cost


@pytest.mark.proves("H3")
def test_names_made_up_by_a_sender_are_learned_up_to_a_limit(victim: Stage, liar: RawPublisher) -> None:
    """Registered and interned names are never freed, so a sender must not be able to add any number of them."""
    blobs = []
    for number in range(100):
        name = f"Made{number:03}Up"
        fields = ", ".join(f"f{number}x{field}=(int)1" for field in range(60))
        blobs.append(build_aux(CAPS, [custom(f"{name}, {fields};", name), reference(f"a/b{number}, {fields}")]))
    assert feed(victim, liar, blobs) == 0
    # Known metas are still received.
    assert feed(victim, liar, [SOUND]) == 0


def grammar(seed: int) -> str:
    """Return fields of every type that GStreamer reads, mostly with a value of another type."""
    rng = random.Random(seed)

    def quoted(text: str) -> str:
        return '"' + "".join(c if c.isalnum() else "\\" + c for c in text) + '"'

    def value(depth: int) -> str:
        kind = rng.randrange(10)
        if kind < 4 or depth > 4:
            return rng.choice(WORDS)
        if kind < 6:
            return quoted(rng.choice([rng.choice(WORDS), "x" + fields(depth + 1), typed(depth + 1), ""]))
        opener, closer = rng.choice(["[]", "{}", "<>"])
        items = ", ".join(typed(depth + 1) for _ in range(2 if opener == "[" else rng.randrange(4)))
        return f"{opener} {items} {closer}"

    def typed(depth: int) -> str:
        return f"({rng.choice(TYPES)}){value(depth)}" if rng.random() < 0.6 else value(depth)

    def fields(depth: int) -> str:
        return "".join(f", {rng.choice('abcd')}={typed(depth)}" for _ in range(rng.randrange(4)))

    return fields(0)


@pytest.mark.proves("H3")
def test_fields_of_every_type_with_every_value_are_survived(victim: Stage, liar: RawPublisher) -> None:
    for begin in range(0, 400 * FACTOR, 200):
        feed(
            victim,
            liar,
            [
                build_aux(
                    CAPS + grammar(3 * seed),
                    [
                        custom(f"AimPoint{grammar(3 * seed + 1)};"),
                        reference(f"timestamp/x-unix{grammar(3 * seed + 2)}"),
                    ],
                )
                for seed in range(begin, begin + 200)
            ],
        )
    assert feed(victim, liar, [SOUND]) == 0


def test_sound_blobs_with_damage_are_survived(victim: Stage, liar: RawPublisher) -> None:
    sound = sound_blob(FORMAT, WIDTH, HEIGHT, "AimPoint")
    for begin in range(0, 1000 * FACTOR, 200):
        feed(victim, liar, [damaged(sound, seed, seed % 6) for seed in range(begin, begin + 200)])
    assert feed(victim, liar, [SOUND]) == 0
