"""The documentation of the public names: examples that run, and a `pydoc` page without private names."""

from __future__ import annotations

import inspect
import pydoc
import re
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2 import sh4lt
from tests.transport.test_docstring_examples import example_of

CLASSES = [value for name in sh4lt.__all__ if inspect.isclass(value := getattr(sh4lt, name))]
EXAMPLES = {
    "Follower": sh4lt.Follower,
    "Follower.borrow": sh4lt.Follower.borrow,
    "Frame": sh4lt.Frame,
    "ShType": sh4lt.ShType,
    "Writer": sh4lt.Writer,
    "address": sh4lt.address,
}


@pytest.mark.parametrize("value", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_runs(value: Any, tmp_path: Path) -> None:
    """In a folder of the test, because other programs may use the path of the example."""
    code = example_of(value)
    assert code is not None
    exec(compile(code.replace("/tmp/", f"{tmp_path}/"), "example", "exec"), {})


@pytest.mark.parametrize("public", CLASSES, ids=lambda public: public.__name__)
def test_pydoc_shows_no_private_name(public: Any) -> None:
    page = pydoc.plain(pydoc.render_doc(public)).partition("Data descriptors inherited")[0]
    assert re.findall(r"(?<![\w.])_[a-z]\w+", page) == []
