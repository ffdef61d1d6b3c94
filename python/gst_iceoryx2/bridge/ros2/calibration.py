"""Reads the calibration of a camera, and writes it as `sensor_msgs/msg/CameraInfo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from ..errors import EndpointError
from .cdr import CdrWriter, is_text
from .messages import Header, Parts

# Name of a matrix in the file, and how many numbers it has.
_MATRICES: Final = {"camera_matrix": 9, "rectification_matrix": 9, "projection_matrix": 12}
_UNSET: Final = 0


class Calibration(NamedTuple):
    """A camera's calibration, in the order of `sensor_msgs/msg/CameraInfo`.

    Attributes:
        width: Width of the calibrated pictures in pixels.
        height: Height of the calibrated pictures in rows.
        model: Name of the distortion model, such as "plumb_bob".
        distortion: The model's coefficients.
        camera: Intrinsic matrix, 9 numbers.
        rectification: Rectification matrix, 9 numbers.
        projection: Projection matrix, 12 numbers.
    """

    width: int
    height: int
    model: str
    distortion: tuple[float, ...]
    camera: tuple[float, ...]
    rectification: tuple[float, ...]
    projection: tuple[float, ...]

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read a file that ROS 2's camera_calibration wrote.

        Raises:
            EndpointError: The file cannot be read, or lacks a part.
            MissingExtraError: PyYAML is not installed.
        """
        from ..._extras.yaml import YamlError, read_yaml

        try:
            content = read_yaml(path.read_text(encoding="utf-8"))
        # PyYAML raises ValueError for an impossible date, and RecursionError for deep nesting.
        except (OSError, ValueError, RecursionError, YamlError) as exc:
            raise EndpointError(f"cannot read the calibration {path}: {' '.join(str(exc).split())}") from exc
        try:
            return cls._of(content)
        except (KeyError, TypeError, ValueError) as exc:
            text = f"it lacks {exc}" if isinstance(exc, KeyError) else str(exc)
            raise EndpointError(
                f"{path} is not a calibration: {text}; use a YAML file that camera_calibration wrote"
            ) from exc

    @classmethod
    def _of(cls, content: Any) -> Calibration:
        if not isinstance(content, dict):
            raise TypeError("it has no keys at the top")
        size = [content[key] for key in ("image_width", "image_height")]
        if not all(type(side) is int and 0 < side < 2**31 for side in size):
            raise ValueError(f"the size is {size[0]}x{size[1]}")
        model = content["distortion_model"]
        if not isinstance(model, str) or not is_text(model):
            raise TypeError(f"distortion_model is {model!r}, not a name")
        matrices = [_matrix(content, name, count) for name, count in _MATRICES.items()]
        return cls(size[0], size[1], model, _matrix(content, "distortion_coefficients", None), *matrices)

    def message(self, header: Header) -> Parts:
        """Return `sensor_msgs/msg/CameraInfo` for a picture of the calibrated size."""
        cdr = CdrWriter()
        header.write(cdr)
        cdr.numbers("II", self.height, self.width)
        cdr.text(self.model)
        cdr.doubles(self.distortion)
        for matrix in (self.camera, self.rectification, self.projection):
            cdr.numbers("d" * len(matrix), *matrix)
        # Binning and region of interest: the whole picture, as the camera sends it.
        cdr.numbers("IIIIIIB", *[_UNSET] * 7)
        return cdr.parts


def _matrix(content: dict[str, Any], name: str, count: int | None) -> tuple[float, ...]:
    matrix = content[name]
    values = matrix.get("data") if isinstance(matrix, dict) else None
    if not isinstance(values, list) or any(type(value) not in (int, float, str) for value in values):
        raise TypeError(f"{name} has no list of numbers named data")
    if count is not None and len(values) != count:
        raise ValueError(f"{name} has {len(values)} numbers, but needs {count}")
    try:
        # camera_info_manager writes numbers such as 1e-05, which are text for PyYAML.
        return tuple(map(float, values))
    except (OverflowError, ValueError) as exc:
        raise ValueError(f"{name} has a value that is not a number: {exc}") from exc
