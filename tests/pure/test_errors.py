"""The errors of the package."""

from __future__ import annotations

from gst_iceoryx2 import errors


def test_every_error_can_be_caught_by_its_public_name() -> None:
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(errors.__all__) == classes
    assert all(issubclass(getattr(errors, name), errors.Iox2VideoError) for name in classes)
