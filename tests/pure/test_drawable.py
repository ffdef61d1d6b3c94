"""What the page of `iox2-video view` is sent of a result is bounded, and has the right values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gst_iceoryx2._wire.results import VideoResultsHeader
from gst_iceoryx2.preview.drawable import drawable
from gst_iceoryx2.results import Box, Classification, Keypoint, Mask, Results
from gst_iceoryx2.results._content import NO_VALUE, tables_of


def made(boxes=(), keypoints=(), classifications=(), masks=()) -> Results:  # type: ignore[no-untyped-def]
    """Return a result as if it had been received."""
    tables = tables_of(None, boxes, keypoints, classifications, masks, None, NO_VALUE)
    return Results()._fill("yolo", VideoResultsHeader(width=640, height=480), tables)


def test_everything_is_sent_with_short_numbers() -> None:
    about, cells = drawable(
        made(
            [Box("a", 0.1, 1.005, -2, 3, 4), Box(None, 1, 0, 0, 0, 0, track=2**64 - 2)],
            [Keypoint("nose", 1.5, 2, box=1), Keypoint(None, 3, 4)],
            [Classification("b", 0.25), Classification(None, 2, box=0)],
            [Mask.of([[1, 0, 0], [0, 0, 1]], 10, 20, 30, 40, label="a", box=0)],
        )
    )
    assert json.loads(json.dumps(about)) == {
        "size": [640, 480],
        "boxes": [[1, -2, 3, 4, 0, 0.1, None], [0, 0, 0, 0, None, 1, str(2**64 - 2)]],
        "points": [[1, 1.5, 2], [None, 3, 4]],
        "classes": [[None, 1, 0.25], [0, None, 2]],
        "masks": [[10, 20, 30, 40, 3, 2, 0, 0]],
        "left": 0,
        "labels": ["a", "b"],
    }
    assert cells == bytes([0b10000100])


def test_nothing_is_sent_as_nothing() -> None:
    about, cells = drawable(made())
    assert about == {"size": [640, 480], "boxes": [], "points": [], "classes": [], "masks": [], "left": 0, "labels": []}
    assert cells == b""


def test_the_largest_results_are_cut_and_the_rest_is_counted() -> None:
    about, cells = drawable(
        made(
            [Box("x" * 4096, 3e38, 3e38, -3e38, 3e38, 0)] * 5000,
            [Keypoint(f"{number}" * 100, 0, 0) for number in range(9000)],
            [Classification("\n" * 4096, 1)] * 1000,
            [Mask.of(np.ones((2, 2))) for _ in range(300)],
        )
    )
    lengths = {name: len(about[name]) for name in ("boxes", "points", "classes", "masks", "labels")}  # type: ignore[arg-type]
    # Labels of keypoints are not drawn.
    assert lengths == {"boxes": 2000, "points": 4000, "classes": 100, "masks": 200, "labels": 2}
    assert about["left"] == 3000 + 5000 + 900 + 100
    assert about["labels"] == ["x" * 39 + "…", "\\n" * 19 + "\\…"]
    assert about["boxes"][0] == [1e6, -1e6, 1e6, 0, 0, pytest.approx(3e38), None]  # type: ignore[index]
    assert len(json.dumps(about)) < 300_000
    assert len(cells) == 200


def test_large_masks_keep_their_shape_with_fewer_cells() -> None:
    cells = np.zeros((1000, 3000), bool)
    cells[:500, 1500:] = True
    about, sent = drawable(made(masks=[Mask.of(cells, 0, 0, 30, 10)]))
    assert about["masks"] == [[0, 0, 30, 10, 256, 256, None, None]]
    bits = np.unpackbits(np.frombuffer(sent, np.uint8)).reshape(256, 256)
    assert bits[:128, 128:].all()
    assert bits.sum() == 128 * 128
    many, sent = drawable(made(masks=[Mask.of(cells)] * 50))
    assert (len(many["masks"]), many["left"], len(sent)) == (16, 34, 16 * 256 * 256 // 8)  # type: ignore[arg-type]


def test_small_masks_and_large_masks_are_cut_from_the_same_runs() -> None:
    """A run of zero cells is no cell."""
    rng = np.random.default_rng(0)
    small, large = rng.random((5, 7)) < 0.5, np.zeros((300, 300), bool)
    large[0, :] = True
    about, sent = drawable(made(masks=[Mask.of(small), Mask.of(large), Mask.of(small)]))
    assert [mask[4:6] for mask in about["masks"]] == [[7, 5], [256, 256], [7, 5]]  # type: ignore[attr-defined]
    first, second = sent[:5], sent[-5:]
    assert first == second == np.packbits(small).tobytes()
    assert np.unpackbits(np.frombuffer(sent[5:-5], np.uint8)).reshape(256, 256)[0].all()
