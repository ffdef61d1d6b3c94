"""Ctrl-C is not lost while objects are freed, although Python discards exceptions in `__del__`."""

from __future__ import annotations

import ast
import signal
import sys
from functools import partial

import pytest

from gst_iceoryx2._at_end import CALL_AT_END
from tests.interrupts import python_calls
from tests.pure.test_package_imports import MODULES


class Counted:
    __slots__ = ("_at_end",)
    __del__ = CALL_AT_END

    def __init__(self, ends: list[int]) -> None:
        self._at_end = partial(ends.append, 1)


def test_an_object_calls_its_function_once_and_runs_no_python_code() -> None:
    ends: list[int] = []
    held = [Counted(ends)]
    assert python_calls(held.clear) == []
    assert ends == [1]


def free_until_interrupted(ends: list[int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    while True:
        Counted(ends)


def test_no_interrupt_is_lost_while_objects_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Python function as `__del__`, a third of such interrupts was lost, and the loop went on."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    ends: list[int] = []
    try:
        for _ in range(50):
            with pytest.raises(KeyboardInterrupt):
                free_until_interrupted(ends)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert lost == []
    assert ends


def test_no_class_has_a_python_function_as_its_end() -> None:
    found = [
        f"{name}.{thing.name}"
        for name, path in MODULES.items()
        for thing in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(thing, ast.FunctionDef) and thing.name == "__del__"
    ]
    assert found == []
