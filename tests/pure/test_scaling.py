"""Planes scaled by numpy and by PyAV, compared with averages and interpolations that are computed sample by sample."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from gst_iceoryx2.video import scaling
from gst_iceoryx2.video.scaling import scaled

SIZES = [
    ((17, 33), (9, 20)),
    ((30, 40), (10, 8)),
    ((5, 7), (16, 21)),
    ((40, 5), (12, 30)),
    ((9, 200), (9, 4)),
    ((64, 48), (1, 1)),
    ((3, 3), (2, 2)),
    ((1, 1), (6, 5)),
    ((300, 2), (4, 2)),
]
ONLY_NUMPY = {(1, 1), (2, 2)}  # results that are too small for FFmpeg
ROUNDING = {"u1": 1, "<u2": 60}


@pytest.fixture(params=["numpy", "PyAV"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let one of the two scale, and return its name."""
    if request.param == "numpy":
        monkeypatch.setattr(scaling, "_scaler_of_pyav", lambda: None)
    else:
        pytest.importorskip("av")
        assert scaling._scaler_of_pyav() is not None
    return str(request.param)


def noise(shape: tuple[int, int], dtype: str = "u1") -> np.ndarray:
    return np.random.default_rng(shape[1]).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def reference(plane: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Return the plane with `size` samples along an axis, in floating point."""
    lines = np.moveaxis(plane.astype(float), axis, -1)
    there = lines.shape[-1]
    if size > there:
        places = (np.arange(size) + 0.5) * there / size - 0.5
        lines = np.stack([np.interp(places, np.arange(there), line) for line in lines])
    else:
        # Each sample is cut into `size` equal parts, of which `there` make one sample of the result.
        lines = lines.repeat(size, 1).reshape(len(lines), size, there).mean(-1)
    return np.moveaxis(lines, -1, axis)


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
@pytest.mark.parametrize(("there", "wanted"), SIZES, ids=str)
def test_each_axis_is_averaged_to_shrink_it_and_interpolated_to_enlarge_it(
    way: str, there: tuple[int, int], wanted: tuple[int, int], dtype: str
) -> None:
    plane = noise(there, dtype)
    result = scaled(plane, wanted[1], wanted[0])
    exact = reference(reference(plane, wanted[0], 0), wanted[1], 1)
    assert (result.shape, result.dtype) == (wanted, np.dtype(dtype))
    assert np.abs(result - exact).max() <= (ROUNDING[dtype] if way == "PyAV" else 0.51)
    assert scaling._suits_pyav(plane, wanted[1], wanted[0]) == (wanted not in ONLY_NUMPY and there != (300, 2))


def test_a_detectors_picture_has_averages_not_single_samples(way: str) -> None:
    """Choosing single samples of a fine pattern would give a coarse pattern that the picture does not have."""
    plane = np.where(np.indices((1080, 1920)).sum(0) % 2, 200, 100).astype(np.uint8)
    assert np.ptp(scaled(plane, 640, 640)[4:-4, 4:-4].astype(int)) <= 20
    assert np.ptp(scaled(plane, 480, 270).astype(int)) <= 1


@pytest.mark.parametrize("size", [(640, 640), (100, 30), (2000, 1100)], ids=str)
def test_a_picture_stays_where_it_is(way: str, size: tuple[int, int]) -> None:
    """A shift by half a sample changes the ramp, and a mirrored picture would not give the mirrored result."""
    ramp = np.linspace(20, 220, 960).repeat(540).reshape(960, 540).T.astype(np.uint8)
    width, height = size
    centres = (np.arange(width) + 0.5) * 960 / width - 0.5
    assert np.abs(scaled(ramp, width, height) - np.interp(centres, range(960), ramp[0])).max() <= 1.1
    plane = noise((54, 96))
    mirrored = scaled(plane[::-1, ::-1], width, height)[::-1, ::-1].astype(int)
    # FFmpeg's positions are off by up to 1/65 of a sample for 2000 columns.
    assert np.abs(mirrored - scaled(plane, width, height)).max() <= (8 if width == 2000 and way == "PyAV" else 2)


@pytest.mark.parametrize(("dtype", "value"), [("u1", 0), ("u1", 16), ("u1", 255), ("<u2", 0), ("<u2", 65535)])
def test_a_plain_plane_stays_plain(way: str, dtype: str, value: int) -> None:
    plane = np.full((37, 61), value, dtype)
    for width, height in ((640, 640), (20, 11), (61, 5), (5, 200)):
        assert np.all(scaled(plane, width, height) == value), (width, height)


def test_a_plane_of_the_wanted_size_is_returned_itself(way: str) -> None:
    plane = noise((6, 8))
    assert scaled(plane, 8, 6) is plane


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_strides_and_byte_order_do_not_matter(way: str, dtype: str) -> None:
    plane = noise((24, 40), dtype.replace(">", "<"))
    wanted = scaled(plane, 15, 10)
    memory = np.zeros((24, 50, 3), dtype)
    memory[:, 4:44, 1] = plane
    memory.flags.writeable = False
    result = scaled(memory[:, 4:44, 1], 15, 10)
    assert result.dtype == plane.dtype
    assert np.array_equal(result, wanted)


def test_floats_are_scaled_by_numpy_and_not_rounded(way: str) -> None:
    plane = np.random.default_rng(0).random((12, 18), np.float32)
    result = scaled(plane, 7, 5)
    assert result.dtype == np.float32
    assert np.allclose(result, reference(reference(plane, 5, 0), 7, 1), atol=1e-5)


def test_threads_do_not_disturb_each_other(way: str) -> None:
    planes = [noise((200, 300 + number)) for number in range(8)]
    wanted = [scaled(plane, 64, 64).copy() for plane in planes]
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(40):
            at = (number + turn) % len(planes)
            if not np.array_equal(scaled(planes[at], 64, 64), wanted[at]):
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_pyav_keeps_few_scalers() -> None:
    """Each size needs its own filters. A program that scales to many sizes shall not collect them."""
    pytest.importorskip("av")
    from gst_iceoryx2._extras import av as pyav

    for width in range(10, 40):
        pyav.scale_plane(noise((20, 20)), width, 12)
    assert len(pyav._kept.reformatters) == pyav._KEPT_REFORMATTERS


def output_of(program: str) -> str:
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_forked_child_scales_too() -> None:
    pytest.importorskip("av")
    program = """
import os
import numpy as np
from gst_iceoryx2.video.scaling import scaled
plane = np.arange(4800, dtype=np.uint16).reshape(60, 80)
wanted = scaled(plane, 33, 22).copy()
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(scaled(plane, 33, 22), wanted) else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert output_of(program) == "0\n"


@pytest.mark.parametrize(
    ("before", "is_loaded"), [("", True), ("sys.modules['av'] = None", False)], ids=["installed", "missing"]
)
def test_only_scaling_imports_pyav_and_does_without_it(before: str, is_loaded: bool) -> None:
    if is_loaded:
        pytest.importorskip("av")
    program = f"""
import sys
import numpy as np
{before}
from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2.video.colour import to_rgb
view = np.full((40, 60, 3), 77, np.uint8)
to_rgb((view,), FORMATS["RGB"], 60, 40)
print(bool(sys.modules.get("av")))
print(to_rgb((view,), FORMATS["RGB"], 60, 40, size=(30, 20)).mean())
print(bool(sys.modules.get("av")))
"""
    assert output_of(program) == f"False\n77.0\n{is_loaded}\n"


def test_a_pyav_that_is_too_old_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reformatter takes other arguments, so to_rgb(size=…) would fail because of an optional library."""
    pytest.importorskip("av")
    from gst_iceoryx2._extras import av as pyav

    monkeypatch.setattr(pyav.av, "__version__", "14.4.0")
    assert pyav.plane_scaler() is None
