"""The documentation of the public names: examples that run, and a `pydoc` page without private names."""

from __future__ import annotations

import inspect
import pydoc
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2 import sh4lt

CLASSES = [getattr(sh4lt, name) for name in sh4lt.__all__ if inspect.isclass(getattr(sh4lt, name))]
NEEDING_AN_EXAMPLE = {"Follower", "Follower.borrow", "Frame", "ShType", "Writer", "address"}


def documented() -> dict[str, str]:
    """Docstrings of the public names and of the classes' public methods, by name."""
    found = {name: inspect.getdoc(getattr(sh4lt, name)) or "" for name in sh4lt.__all__}
    for owner in CLASSES:
        for name, member in vars(owner).items():
            if not name.startswith("_") and (callable(member) or isinstance(member, (property, classmethod))):
                found[f"{owner.__name__}.{name}"] = inspect.getdoc(member) or ""
    return found


def example_in(docstring: str) -> str:
    found = re.search(r"^Example:\n((?:    .*\n?|\n)+)", docstring, re.MULTILINE)
    return textwrap.dedent(found[1]) if found else ""


EXAMPLES = {name: example for name, text in documented().items() if (example := example_in(text))}


def test_newcomers_find_an_example_where_they_look_first() -> None:
    assert set(EXAMPLES) == NEEDING_AN_EXAMPLE


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_runs_as_it_is_written(name: str, tmp_path: Path) -> None:
    """In a folder of the test: other programs may use the example's path."""
    exec(compile(EXAMPLES[name].replace("/tmp/", f"{tmp_path}/"), name, "exec"), {})


@pytest.mark.parametrize("name", sorted(documented()))
def test_a_public_name_is_documented_in_one_sentence_first(name: str) -> None:
    first = documented()[name].splitlines()[0]
    assert first.endswith((".", "`.")), first


@pytest.mark.parametrize("public", CLASSES, ids=lambda public: public.__name__)
def test_pydoc_shows_no_private_name(public: Any) -> None:
    page = pydoc.plain(pydoc.render_doc(public))
    page = page.partition("Data descriptors inherited")[0]
    assert re.findall(r"(?<![\w.])_[a-z]\w+", page) == []
