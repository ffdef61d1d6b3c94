"""Every public name has a docstring, and `help()` shows no private name. `make docs` builds the reference from them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import gst_iceoryx2

ROOT = Path(__file__).parents[2]
MODULES = re.findall(r"reference/(gst_iceoryx2[\w.]*)\.md", (ROOT / "mkdocs.yml").read_text())
"""The modules that have a page in the reference."""


def public_names() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            yield module, name


def public_members(owner: type) -> Iterator[tuple[str, Any]]:
    """The methods and properties that a class of this package defines itself."""
    for name, member in vars(owner).items():
        if not name.startswith("_") and (inspect.isroutine(member) or isinstance(member, property)):
            yield name, member


@cache
def documented_values() -> set[str]:
    """Names of module-level values that have a docstring: a string right after the assignment."""
    found = set()
    for path in Path(gst_iceoryx2.__file__).parent.rglob("*.py"):
        statements = ast.parse(path.read_text()).body
        for assignment, text in pairwise(statements):
            if (
                isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                targets = getattr(assignment, "targets", [getattr(assignment, "target", None)])
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_docstring(module: str) -> None:
    assert importlib.import_module(module).__doc__


@pytest.mark.parametrize(("module", "name"), list(public_names()), ids=str)
def test_a_public_name_has_a_docstring(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        assert name in documented_values() or inspect.ismodule(value)
        return
    # A docstring of its own, not the one of a base class.
    assert vars(value)["__doc__"] if inspect.isclass(value) else value.__doc__
    if inspect.isclass(value) and value.__module__.startswith("gst_iceoryx2"):
        assert [member for member, found in public_members(value) if not inspect.getdoc(found)] == []


PRIVATE = re.compile(r"(?<!\w)_(?!_)\w+")
OF_THE_STANDARD_LIBRARY = re.compile(
    "_asdict|_make|_replace|_field_defaults|_fields_?|_cls|_ctypes|_CData|_dataclass_[gs]etstate|_DataclassParams"
    "|_ProtocolMeta|_proto_hook|_no_init_or_replace_init"
)


@pytest.mark.parametrize(("module", "name"), list(public_names()), ids=str)
def test_help_shows_no_private_name(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value) or inspect.isroutine(value):
        heading, _, text = pydoc.plain(pydoc.render_doc(value)).partition("\n")
        if inspect.isclass(value):
            # The heading names the defining module. The functions of `gst_iceoryx2` are defined in a private one.
            text = heading + text
        assert [found for found in PRIVATE.findall(text) if not OF_THE_STANDARD_LIBRARY.fullmatch(found)] == []


def documented_names() -> set[str]:
    """Names of this package that the documents mention, with their modules."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    return {name for page in pages for name in re.findall(r"gst_iceoryx2(?:\.[a-zA-Z]\w*)+", page.read_text())}


@pytest.mark.parametrize("name", sorted(documented_names()))
def test_a_name_in_the_documents_is_in_the_reference(name: str) -> None:
    if name not in MODULES:
        module, _, member = name.rpartition(".")
        assert module in MODULES
        assert member in importlib.import_module(module).__all__


@pytest.mark.parametrize(("module", "name"), list(public_names()), ids=str)
def test_help_shows_no_environment(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default value of `os.environ` is shown with all its values, which may be secrets."""
    monkeypatch.setenv("A_SECRET_OF_THIS_TEST", "shown")
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert "A_SECRET_OF_THIS_TEST" not in pydoc.plain(pydoc.render_doc(value))
