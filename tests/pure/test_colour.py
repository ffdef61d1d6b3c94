"""Pictures of every format as RGB, compared with floating-point formulas and the standards' colour bars."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gst_iceoryx2._wire.formats import FORMATS, VideoFormat
from gst_iceoryx2.errors import FormatError
from gst_iceoryx2.video import colour, scaling
from gst_iceoryx2.video.colour import checked_size, colorimetry_of, to_rgb

CONVERTIBLE = [name for name, fmt in FORMATS.items() if fmt.kind != "tiled"]
TILED = [name for name, fmt in FORMATS.items() if fmt.kind == "tiled"]
SIZES = [(8, 8), (33, 17), (7, 5), (2, 2), (1, 1)]

# 100 % colour bars in limited range, 8 bits: Y, Cb, Cr. Source: Recommendations ITU-R BT.601 and BT.709.
BARS = {
    "bt601": {
        (255, 255, 255): (235, 128, 128),
        (255, 255, 0): (210, 16, 146),
        (0, 255, 255): (170, 166, 16),
        (0, 255, 0): (145, 54, 34),
        (255, 0, 255): (106, 202, 222),
        (255, 0, 0): (81, 90, 240),
        (0, 0, 255): (41, 240, 110),
        (0, 0, 0): (16, 128, 128),
    },
    "bt709": {
        (255, 255, 255): (235, 128, 128),
        (255, 255, 0): (219, 16, 138),
        (0, 255, 255): (188, 154, 16),
        (0, 255, 0): (173, 42, 26),
        (255, 0, 255): (78, 214, 230),
        (255, 0, 0): (63, 102, 240),
        (0, 0, 255): (32, 240, 118),
        (0, 0, 0): (16, 128, 128),
    },
}
KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}

# Pixels that share a chroma sample, across and down, for formats for which formats.json does not say it.
SHARED = {"YUYV": (2, 1), "UYVY": (2, 1), "YVYU": (2, 1), "VYUY": (2, 1), "UYYVYY": (4, 1)}
SHARED_OPAQUE = {"NV12_10LE32": (2, 2), "NV16_10LE32": (2, 1), "NV12_10LE40": (2, 2), "NV16_10LE40": (2, 1)}

Planes = dict[str, np.ndarray]


def sharing(fmt: VideoFormat, letter: str) -> tuple[int, int]:
    """Return how many pixels share a sample of a component."""
    if letter == "Y" or letter not in "UV":
        return 1, 1
    if fmt.components in SHARED:
        return SHARED[fmt.components]
    if fmt.name in SHARED_OPAQUE:
        return SHARED_OPAQUE[fmt.name]
    plane = fmt.planes[min(1, fmt.n_planes - 1)]
    return 1 << plane.w_shift, 1 << plane.h_shift


def words(samples: list[int]) -> bytes:
    samples += [0] * (-len(samples) % 3)
    triples = zip(samples[::3], samples[1::3], samples[2::3], strict=True)
    return b"".join((a | b << 10 | c << 20).to_bytes(4, "little") for a, b, c in triples)


def five_bytes(samples: list[int], order: str) -> bytes:
    samples += [0] * (-len(samples) % 4)
    result = b""
    for start in range(0, len(samples), 4):
        four = samples[start : start + 4][:: 1 if order == "little" else -1]
        result += sum(sample << 10 * index for index, sample in enumerate(four)).to_bytes(5, order)
    return result


OPAQUE_ROWS: dict[str, Callable[[list[int]], bytes]] = {
    "v210": words,
    "GRAY10_LE32": words,
    "NV12_10LE32": words,
    "NV16_10LE32": words,
    "NV12_10LE40": lambda samples: five_bytes(samples, "little"),
    "NV16_10LE40": lambda samples: five_bytes(samples, "little"),
    "UYVP": lambda samples: five_bytes(samples, "big"),
    "IYU1": bytes,
}


def pack(fmt: VideoFormat, parts: Planes, width: int, height: int, pad: int = 0) -> tuple[np.ndarray, ...]:
    """Return views of memory to which the samples of `parts` were written one by one, with padded rows."""
    tight = fmt.tight_layout(width, height)
    strides = tuple(stride + pad for stride in tight.strides)
    offsets, size = [], 0
    for index, stride in enumerate(strides):
        offsets.append(size)
        size += stride * fmt.rows(index, height)
    pixels = np.full(size, 0xEE, np.uint8)
    dtype = np.dtype(fmt.dtype)
    letters = iter(fmt.components)
    for index, plane in enumerate(fmt.planes):
        if fmt.kind == "opaque":
            cycle = fmt.components if fmt.n_planes == 1 else ("Y", "UV")[index]
        elif fmt.is_word or fmt.components in SHARED:
            cycle = fmt.components
        else:
            cycle = "".join(next(letters) for _ in range(plane.channels))
        for row in range(fmt.rows(index, height)):
            per_row = {letter: list(parts[letter][row]) for letter in cycle}
            if fmt.is_word:
                data = b"".join(
                    sum(
                        int(per_row[letter][x]) << shift for letter, shift in zip(cycle, fmt.shift, strict=True)
                    ).to_bytes(dtype.itemsize, "big" if fmt.dtype.startswith(">") else "little")
                    for x in range(width)
                )
            else:
                samples = interleave(per_row, cycle)
                if fmt.kind == "opaque":
                    data = OPAQUE_ROWS[fmt.name]([int(sample) for sample in samples])
                else:
                    data = (np.array(samples) * (1 << fmt.shift[0])).astype(dtype).tobytes()
            data = data[: strides[index]][: fmt.row_bytes(index, width)]
            start = offsets[index] + row * strides[index]
            pixels[start : start + len(data)] = np.frombuffer(data, np.uint8)
    pixels.flags.writeable = False
    return fmt.views(pixels, width, height, strides, offsets)


def interleave(per_row: dict[str, list[int]], cycle: str) -> list[int]:
    """Write the samples of a row in a repeating pattern until all are written."""
    left = {letter: list(samples) for letter, samples in per_row.items()}
    result: list[int] = []
    while any(left.values()):
        result += [left[letter].pop(0) if left[letter] else 0 for letter in cycle]
    return result


def random_parts(fmt: VideoFormat, width: int, height: int) -> Planes:
    rng = np.random.default_rng(width * 1000 + height)
    parts = {}
    for letter, bits in zip(fmt.components, fmt.bits, strict=True):
        w_factor, h_factor = sharing(fmt, letter)
        shape = -(-height // h_factor), -(-width // w_factor)
        if np.dtype(fmt.dtype).kind == "f":
            parts[letter] = rng.random(shape)
        else:
            parts[letter] = rng.integers(0, 1 << bits, shape)
    return parts


def expected(fmt: VideoFormat, parts: Planes, width: int, height: int, colorimetry: str, limited: bool) -> np.ndarray:
    """Return the picture computed in floating point."""
    bits = dict(zip(fmt.components, fmt.bits, strict=True))
    unit = {}
    for letter, samples in parts.items():
        w_factor, h_factor = sharing(fmt, letter)
        whole = samples.repeat(h_factor, 0)[:height].repeat(w_factor, 1)[:, :width].astype(float)
        if np.dtype(fmt.dtype).kind == "f":
            unit[letter] = whole
        elif letter in "UV":
            swing = 224 * 2.0 ** (bits[letter] - 8) if limited else 2.0 ** bits[letter] - 1
            unit[letter] = (whole - 2.0 ** (bits[letter] - 1)) / swing
        elif letter == "Y" and limited:
            unit[letter] = (whole - 16 * 2.0 ** (bits[letter] - 8)) / (219 * 2.0 ** (bits[letter] - 8))
        else:
            unit[letter] = whole / (2.0 ** bits[letter] - 1)
    if fmt.is_rgb:
        red, green, blue = unit["R"], unit["G"], unit["B"]
    elif fmt.is_gray:
        red = green = blue = unit["Y"]
    else:
        kr, kb = KR_KB[colorimetry]
        red = unit["Y"] + 2 * (1 - kr) * unit["V"]
        blue = unit["Y"] + 2 * (1 - kb) * unit["U"]
        green = (unit["Y"] - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], -1) * 255, 0, 255)


@pytest.mark.parametrize("colorimetry", list(KR_KB))
@pytest.mark.parametrize("name", CONVERTIBLE)
def test_every_format_with_array_views_becomes_rgb(name, colorimetry):
    fmt = FORMATS[name]
    for width, height in SIZES:
        parts = random_parts(fmt, width, height)
        views = pack(fmt, parts, width, height, pad=16)
        picture = to_rgb(views, fmt, width, height, colorimetry)
        wanted = expected(fmt, parts, width, height, colorimetry, limited=not fmt.is_rgb)
        columns = width - 1 if chroma_is_cut_off(fmt, width) else width
        assert np.abs(picture - wanted)[:, :columns].max(initial=0) < 0.75, (width, height)


def chroma_is_cut_off(fmt: VideoFormat, width: int) -> bool:
    """Return whether the row ends before its last chroma sample, as rows with three samples per word can."""
    return fmt.name in ("NV12_10LE32", "NV16_10LE32") and -(-width // 2) * 2 > -(-width // 3) * 3


@pytest.mark.parametrize("name", TILED)
def test_a_tiled_format_is_refused_by_name(name):
    with pytest.raises(FormatError, match=f"^{name} "):
        to_rgb((), FORMATS[name], 8, 8)


@pytest.mark.parametrize("standard", list(BARS))
@pytest.mark.parametrize("name", ["AYUV", "Y444", "Y444_10LE", "Y444_16BE", "NV24", "v308", "Y410", "Y412_LE"])
def test_the_colour_bars_of_the_standards_are_pure_colours(standard, name):
    fmt = FORMATS[name]
    bars = np.array(list(BARS[standard].values()))
    parts = {letter: (bars[None, :, "YUV".index(letter)] << (fmt.bits[0] - 8)) for letter in "YUV"}
    parts["A"] = np.zeros_like(parts["Y"])
    picture = to_rgb(pack(fmt, parts, 8, 1), fmt, 8, 1, standard)
    assert np.abs(picture[0].astype(int) - np.array(list(BARS[standard]))).max() <= 2


@pytest.mark.parametrize("name", ["I420", "P010_10LE", "YUY2", "GRAY8", "v210"])
def test_the_full_range_is_taken_as_such(name):
    fmt = FORMATS[name]
    parts = random_parts(fmt, 12, 6)
    picture = to_rgb(pack(fmt, parts, 12, 6), fmt, 12, 6, "1:4:0:0")
    assert np.abs(picture - expected(fmt, parts, 12, 6, "bt601", limited=False)).max() < 0.75


@pytest.mark.parametrize("name", ["NV12", "BGR", "GRAY16_LE", "v210"])
def test_bgr_is_rgb_the_other_way_round_and_both_are_new_memory(name):
    fmt = FORMATS[name]
    views = pack(fmt, random_parts(fmt, 20, 6), 20, 6)
    rgb, bgr = to_rgb(views, fmt, 20, 6), to_rgb(views, fmt, 20, 6, order="BGR")
    assert np.array_equal(rgb, bgr[..., ::-1])
    for picture in (rgb, bgr):
        assert picture.flags.c_contiguous
        assert picture.flags.writeable
        assert not np.shares_memory(picture, views[0])


def test_another_order_is_refused():
    fmt = FORMATS["BGR"]
    with pytest.raises(ValueError, match="'GBR'"):
        to_rgb(pack(fmt, random_parts(fmt, 2, 2), 2, 2), fmt, 2, 2, order="GBR")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["YUV9", "I420", "NV12_10LE32", "NV16", "RGB16", "GRAY8"])
def test_a_picture_of_many_blocks_is_the_picture_in_one_piece(name, monkeypatch):
    fmt = FORMATS[name]
    views = pack(fmt, random_parts(fmt, 12, 30), 12, 30)
    whole = to_rgb(views, fmt, 12, 30)
    monkeypatch.setattr(colour, "_BLOCK_PIXELS", 1)
    assert np.array_equal(to_rgb(views, fmt, 12, 30), whole)


@pytest.mark.parametrize("name", [n for n in CONVERTIBLE if FORMATS[n].dtype[-2:] in ("u2", "u1")])
def test_samples_with_bits_beyond_their_format_do_not_wrap_around(name):
    """A hostile 10-bit picture can contain 16-bit values. Bright pixels stay bright."""
    fmt = FORMATS[name]
    layout = fmt.tight_layout(8, 8)
    pixels = np.full(layout.size, 0xFF, np.uint8)
    picture = to_rgb(fmt.views(pixels, 8, 8, layout.strides, layout.offsets), fmt, 8, 8, "1:4:0:0")
    assert picture.max() == 255


def test_the_last_chroma_sample_of_an_odd_row_is_found_behind_the_view():
    fmt = FORMATS["YUY2"]
    memory = np.array([100, 90, 110, 200, 120, 60, 0, 220], np.uint8)
    picture = to_rgb(fmt.views(memory, 3, 1, (8,), (0,)), fmt, 3, 1)
    wanted = to_rgb(fmt.views(np.array([120, 60, 0, 220], np.uint8), 2, 1, (4,), (0,)), fmt, 2, 1)
    assert np.array_equal(picture[0, 2], wanted[0, 0])


def test_without_memory_behind_the_view_the_chroma_sample_before_it_serves():
    fmt = FORMATS["YUY2"]
    memory = np.array([100, 90, 110, 200, 120, 60], np.uint8)
    picture = to_rgb((memory.reshape(1, 3, 2),), fmt, 3, 1)
    wanted = to_rgb((np.array([[[120, 60], [0, 200]]], np.uint8),), fmt, 2, 1)
    assert np.array_equal(picture[0, 2], wanted[0, 0])


@pytest.mark.parametrize("buffer", [bytes(8), bytearray(8), memoryview(bytes(8))])
def test_the_memory_behind_a_view_may_be_any_buffer(buffer):
    fmt = FORMATS["UYVY"]
    assert to_rgb(fmt.views(buffer, 3, 1, (8,), (0,)), fmt, 3, 1).shape == (1, 3, 3)


# -- another size --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["numpy", "PyAV"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let one of the two scale, and return its name."""
    if request.param == "numpy":
        monkeypatch.setattr(scaling, "_scaler_of_pyav", lambda: None)
    else:
        pytest.importorskip("av")
    return str(request.param)


def soft_parts(fmt: VideoFormat, width: int, height: int) -> Planes:
    """Return a picture without details: a ramp for each component, which rises in another direction each."""
    parts = {}
    for letter, bits in zip(fmt.components, fmt.bits, strict=True):
        across, down = sharing(fmt, letter)
        y, x = np.indices((-(-height // down), -(-width // across)))
        right, below = (x + 0.5) * across / width, (y + 0.5) * down / height
        unit = {"Y": 0.5 * right + 0.5 * below, "U": 1 - below, "V": right, "R": right, "G": below}.get(
            letter, 1 - right
        )
        share = 0.35 + 0.3 * unit.clip(0, 1)
        parts[letter] = share if np.dtype(fmt.dtype).kind == "f" else np.rint(share * ((1 << bits) - 1)).astype(int)
    return parts


def resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a picture scaled in floating point, each axis by averages or by linear interpolation."""
    for axis, size in enumerate((height, width)):
        lines = np.moveaxis(picture.astype(float), axis, -1)
        there = lines.shape[-1]
        if size > there:
            places = (np.arange(size) + 0.5) * there / size - 0.5
            lines = np.apply_along_axis(lambda line, at=places: np.interp(at, np.arange(len(line)), line), -1, lines)
        else:
            lines = lines.repeat(size, -1).reshape(*lines.shape[:-1], size, there).mean(-1)
        picture = np.moveaxis(lines, -1, axis)
    return picture


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_every_format_is_scaled_and_converted_in_one_step(name: str, way: str) -> None:
    """The result is the scaled picture: chroma must not move, also if it extends beyond an odd width or height."""
    fmt = FORMATS[name]
    for (width, height), size in (
        ((64, 48), (20, 15)),
        ((33, 17), (21, 9)),
        ((33, 17), (50, 40)),
        ((40, 30), (60, 12)),
    ):
        parts = soft_parts(fmt, width, height)
        views = pack(fmt, parts, width, height, pad=16)
        columns = size[0] - 2 if chroma_is_cut_off(fmt, width) else size[0]
        for colorimetry in ("bt601", "bt709", "bt2020"):
            picture = to_rgb(views, fmt, width, height, colorimetry, size=size)
            wanted = resized(to_rgb(views, fmt, width, height, colorimetry), *size)
            assert picture.shape == (size[1], size[0], 3)
            assert picture.flags.c_contiguous
            # Repeated chroma has steps, and scaled chroma does not.
            difference = (picture - wanted)[:, :columns]
            assert np.abs(difference).max() <= 5, (width, height, size, colorimetry)
            assert np.abs(difference.mean((0, 1))).max() <= 0.5, (width, height, size, colorimetry)


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_numpy_and_pyav_scale_to_the_same_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    fmt = FORMATS[name]
    for (width, height), size in (((33, 17), (20, 9)), ((33, 17), (48, 40)), ((16, 31), (30, 8))):
        views = pack(fmt, random_parts(fmt, width, height), width, height, pad=16)
        for colorimetry in ("bt601", "bt709", "bt2020", "smpte240m", "2:2:0:0", "1:4:0:0"):
            one = to_rgb(views, fmt, width, height, colorimetry, size=size)
            with monkeypatch.context() as patch:
                patch.setattr(scaling, "_scaler_of_pyav", lambda: None)
                other = to_rgb(views, fmt, width, height, colorimetry, size=size)
            assert np.abs(one.astype(int) - other).max() <= 4, (width, height, size, colorimetry)


@pytest.mark.parametrize("name", ["NV12", "YUY2", "BGR", "P010_10LE", "RGB16", "GRAY8"])
def test_the_pictures_own_size_changes_nothing(name: str, way: str) -> None:
    fmt = FORMATS[name]
    views = pack(fmt, random_parts(fmt, 33, 17), 33, 17)
    assert np.array_equal(to_rgb(views, fmt, 33, 17, size=(33, 17)), to_rgb(views, fmt, 33, 17))


@pytest.mark.parametrize("name", ["NV12", "I420", "BGRx", "GRAY16_LE"])
def test_a_crop_of_the_planes_is_scaled_like_a_picture_of_its_own(name: str, way: str) -> None:
    fmt = FORMATS[name]
    crops, copies = [], []
    for view, plane in zip(pack(fmt, random_parts(fmt, 64, 48), 64, 48, pad=8), fmt.planes, strict=True):
        crop = view[8 >> plane.h_shift : 40 >> plane.h_shift, 12 >> plane.w_shift : 52 >> plane.w_shift]
        crops.append(crop)
        copies.append(crop.copy())
    for size in (None, (17, 13)):
        assert np.array_equal(to_rgb(crops, fmt, 40, 32, size=size), to_rgb(copies, fmt, 40, 32, size=size))


@pytest.mark.parametrize("name", ["RGB16", "BGR15", "RGB8"] if "RGB8" in CONVERTIBLE else ["RGB16", "BGR15"])
def test_averages_of_samples_with_few_bits_have_many_bits(name: str, way: str) -> None:
    """The average of 5-bit samples would be off by up to four levels if it had 5 bits too."""
    fmt = FORMATS[name]
    parts = {letter: np.indices((16, 16)).sum(0) % 2 for letter in fmt.components}
    bits = fmt.bits[fmt.components.index("R")]
    picture = to_rgb(pack(fmt, parts, 16, 16), fmt, 16, 16, size=(8, 8))
    assert np.abs(picture[..., 0] - 255 / ((1 << bits) - 1) / 2).max() <= 0.6


@pytest.mark.parametrize("size", [(640, 640), [1, 32768], (np.int64(5), np.uint8(6)), np.array([3, 4])], ids=str)
def test_a_size_is_a_pair_of_whole_numbers(size) -> None:
    assert checked_size(size) == tuple(int(side) for side in size)


@pytest.mark.parametrize(
    ("size", "error", "text"),
    [
        (640, TypeError, r"size is 640, but must be a pair of whole numbers: \(width, height\)"),
        ((640,), TypeError, "must be a pair"),
        ((640, 480, 3), TypeError, "must be a pair"),
        ("640x480", TypeError, "size is '640x480', but must be a pair"),
        ("64", TypeError, "width of size is '6', but must be a whole number"),
        ((640.0, 480), TypeError, "width of size is 640.0, but must be a whole number"),
        ((640, None), TypeError, "height of size is None, but must be a whole number"),
        ((True, 480), TypeError, "width of size is True"),
        ((0, 480), ValueError, "width of size is 0, but must be at least 1"),
        ((640, -1), ValueError, "height of size is -1, but must be at least 1"),
        ((640, 32769), ValueError, "height of size is 32769, but must be at most 32,768"),
    ],
)
def test_another_size_is_refused(size, error, text) -> None:
    with pytest.raises(error, match=text):
        checked_size(size)


def test_a_float_that_is_no_number_is_black_and_beyond_one_is_white():
    fmt = FORMATS["RGBA_F32LE"]
    pixel = np.array([np.nan, np.inf, -np.inf, 1], "<f4").reshape(1, 1, 4)
    assert to_rgb((pixel,), fmt, 1, 1).tolist() == [[[0, 255, 0]]]


def test_rgb_is_taken_as_it_is_whatever_the_colorimetry_says():
    fmt = FORMATS["BGR"]
    view = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(to_rgb((view,), fmt, 4, 2, "bt709", order="BGR"), view)


@pytest.mark.parametrize(
    ("text", "is_gray", "height", "wanted"),
    [
        (None, False, 576, (True, 0.299, 0.114)),
        (None, False, 577, (True, 0.2126, 0.0722)),
        (None, True, 1080, (False, 0.299, 0.114)),
        ("bt601", False, 1080, (True, 0.299, 0.114)),
        ("bt709", False, 480, (True, 0.2126, 0.0722)),
        ("smpte240m", False, 480, (True, 0.212, 0.087)),
        ("bt2020", False, 480, (True, 0.2627, 0.0593)),
        ("bt2020-10", False, 480, (True, 0.2627, 0.0593)),
        ("bt2100-pq", False, 480, (True, 0.2627, 0.0593)),
        ("bt2100-hlg", False, 480, (True, 0.2627, 0.0593)),
        ("2:4:7:1", False, 1080, (True, 0.299, 0.114)),
        ("1:3:5:1", False, 480, (False, 0.2126, 0.0722)),
        ("0:2:0:0", False, 480, (False, 0.30, 0.11)),
        ("2:0:0:0", True, 480, (True, 0.299, 0.114)),
        ("sRGB", False, 480, (True, 0.299, 0.114)),
        ("sRGB", True, 480, (False, 0.299, 0.114)),
        ("2:0:0:0", False, 480, (True, 0.299, 0.114)),
        ("2:99:0:0", False, 1080, (True, 0.2126, 0.0722)),
        ("nonsense", False, 480, (True, 0.299, 0.114)),
        ("1:3:5", False, 480, (True, 0.299, 0.114)),
        ("1:²:5:1", False, 480, (True, 0.299, 0.114)),
        ("1:" + "3" * 5000 + ":5:1", False, 480, (True, 0.299, 0.114)),
        ("", False, 480, (True, 0.299, 0.114)),
    ],
)
def test_the_colorimetry_of_the_caps_is_understood_as_gstreamer_does(text, is_gray, height, wanted):
    assert colorimetry_of(text, is_gray, height) == wanted
