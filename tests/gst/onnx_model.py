"""A small ONNX model in the form of an SSD detector: it finds the bright part of a picture.

The model is written without the package onnx, as messages of protocol buffers. Source: onnx/onnx.proto3.
"""

from __future__ import annotations

import struct
from pathlib import Path

_FLOAT, _UINT8 = 1, 2
_OUTPUTS = {"boxes": "Boxes", "scores": "Scores", "classes": "Classes", "count": "NumDetections"}


def _number(value: int) -> bytes:
    more = b""
    while value > 127:
        more += bytes([value & 127 | 128])
        value >>= 7
    return more + bytes([value])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    data = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(data)) + data


def _message(*fields: tuple[int, int | str | bytes]) -> bytes:
    return b"".join(_field(number, value) for number, value in fields)


def _attribute(name: str, value: int | list[int]) -> bytes:
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, 2))
    return _message((1, name), *((8, item) for item in value), (20, 7))


def _node(kind: str, inputs: str, output: str, **attributes: int | list[int]) -> bytes:
    names = [(1, name) for name in inputs.split()]
    made = [(5, _attribute(name, value)) for name, value in attributes.items()]
    return _message(*names, (2, output), (4, kind), *made)


def _value(name: str, kind: int, shape: list[int]) -> bytes:
    dimensions = _message(*((1, _field(1, side)) for side in shape))
    return _message((1, name), (2, _field(1, _message((1, kind), (2, dimensions)))))


def _constant(name: str, shape: list[int], *numbers: float) -> bytes:
    dimensions = [(1, side) for side in shape]
    return _message(*dimensions, (2, _FLOAT), (8, name), (9, struct.pack(f"<{len(numbers)}f", *numbers)))


def _edges(axis: str, reduced: int) -> list[bytes]:
    """Return nodes that compute where the bright part begins and ends, as parts of the picture's size."""
    return [
        _node("ReduceMax", "levels", f"{axis}max", axes=[0, reduced, 3], keepdims=0),
        _node("Greater", f"{axis}max half", f"{axis}on"),
        _node("Cast", f"{axis}on", f"{axis}bright", to=_FLOAT),
        _node("ArgMax", f"{axis}bright", f"{axis}first", axis=0, keepdims=1),
        _node("ArgMax", f"{axis}bright", f"{axis}last", axis=0, keepdims=1, select_last_index=1),
        _node("Cast", f"{axis}first", f"{axis}begin", to=_FLOAT),
        _node("Cast", f"{axis}last", f"{axis}end", to=_FLOAT),
        _node("Add", f"{axis}end one", f"{axis}after"),
        _node("Div", f"{axis}begin {axis}size", f"{axis}0"),
        _node("Div", f"{axis}after {axis}size", f"{axis}1"),
    ]


def write_model(path: Path, width: int, height: int) -> None:
    """Write a model for RGB pictures of this size. It finds one object of class 1, with the score 0.75."""
    nodes = [
        _node("Cast", "picture", "levels", to=_FLOAT),
        *_edges("x", 1),
        *_edges("y", 2),
        _node("Concat", "y0 x0 y1 x1", "edges", axis=0),
        _node("Mul", "edges ones", "boxes"),
        *(_node("Identity", f"{name}value", name) for name in ("scores", "classes", "count")),
    ]
    constants = [
        _constant("half", [1], 128),
        _constant("one", [1], 1),
        _constant("xsize", [1], width),
        _constant("ysize", [1], height),
        # The shape of the boxes is that of this array.
        _constant("ones", [1, 1, 4], 1, 1, 1, 1),
        _constant("scoresvalue", [1, 1], 0.75),
        _constant("classesvalue", [1, 1], 1),
        _constant("countvalue", [1], 1),
    ]
    shapes = {"boxes": [1, 1, 4], "scores": [1, 1], "classes": [1, 1], "count": [1]}
    graph = _message(
        *((1, node) for node in nodes),
        (2, "bright"),
        *((5, constant) for constant in constants),
        (11, _value("picture", _UINT8, [1, height, width, 3])),
        *((12, _value(name, _FLOAT, shape)) for name, shape in shapes.items()),
    )
    names = [(14, _message((1, name), (2, f"Gst.Model.ObjectDetector.{kind}"))) for name, kind in _OUTPUTS.items()]
    path.write_bytes(_message((1, 8), (7, graph), (8, _message((1, ""), (2, 13))), *names))
