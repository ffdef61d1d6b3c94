"""The public door to the errors."""

from __future__ import annotations

from gst_iceoryx2 import _errors, errors


def test_every_error_can_be_caught_by_its_public_name() -> None:
    classes = {name for name, value in vars(_errors).items() if isinstance(value, type)}
    assert set(errors.__all__) == classes
    assert all(getattr(errors, name) is getattr(_errors, name) for name in classes)
