"""Every example in a docstring of `gst_iceoryx2.serve` runs as it stands."""

from __future__ import annotations

import doctest

import pytest

from gst_iceoryx2 import serve

EXAMPLES = [
    example
    for name in serve.__all__
    for example in doctest.DocTestFinder().find(getattr(serve, name), name, module=False, globs={})
    if example.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs(example: doctest.DocTest) -> None:
    assert doctest.DocTestRunner().run(example).failed == 0


def test_newcomers_find_an_example() -> None:
    assert {example.name for example in EXAMPLES} >= {"Rendition", "RenditionName"}
