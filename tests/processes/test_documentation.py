"""The documentation is right about elements, messages, files and numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from gst_iceoryx2._plugin import gstreamer_version
from gst_iceoryx2.contract import contract
from tests.processes.markdown import anchors, links, without_snippets
from tests.processes.programs import ROOT

README = ROOT / "README.md"
PACKAGES = ROOT.glob("integrations/*/README.md")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *PACKAGES, ROOT / "tests" / "vectors" / "README.md"]
)
GENERATOR = "tools/element_tables.py"


@pytest.mark.skipif(gstreamer_version() is None, reason="there is no GStreamer on this machine")
def test_the_tables_of_the_elements_are_what_the_elements_say() -> None:
    said = subprocess.run([sys.executable, GENERATOR], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    between = rf"^<!-- \w+: written by {GENERATOR} -->\n\n(.*?)\n\n<!-- \w+: end -->$"
    tables = re.findall(between, (ROOT / "docs" / "elements.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(tables) == 2
    assert "\n\n".join(tables) == said.rstrip("\n"), f"write them anew: .venv/bin/python {GENERATOR} --write"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in links(document):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{document.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{document.name} links to {link}"


@pytest.mark.parametrize("document", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda path: path.name)
def test_links_lead_to_what_is_on_the_site(document: Path) -> None:
    """Regression: `make docs` refused a link to a file that scripts/docs does not lay out."""
    lists = re.findall(r"for path in (.+); do\n *link ", (ROOT / "scripts" / "docs").read_text())
    assert len(lists) == 2
    pages = [ROOT / path for words in lists for path in words.split()]
    for link in links(document):
        path = link.partition("#")[0]
        if path and not re.match(r"https?://", link):
            target = (document.parent / path).resolve()
            assert any(target.is_relative_to(page) for page in pages), f"{document.name} links to {link}"


def quoted_messages() -> list[str]:
    """The indented lines of the troubleshooting page, and what other guides quote within a sentence."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    messages = re.findall(r"^    (.+)$", page, re.MULTILINE)
    assert len(messages) > 20
    for guide in (ROOT / "docs").glob("*.md"):
        spans = re.findall(r"`([^`\n]+)`", without_snippets(guide))
        # Not commands, which have options, properties and pipes.
        messages += [span for span in spans if re.search(r"….* .* |; ", span) and not re.search(r"[!=]| -", span)]
    return sorted(set(messages))


@cache
def sources() -> str:
    """All code and messages, with joined literals, and `…` in place of filled-in values."""
    folders = (ROOT / "python" / "gst_iceoryx2", *(ROOT / "crates").glob("*/src"))
    code = "\n".join(path.read_text() for folder in folders for path in sorted(folder.rglob("*.[pr][ys]")))
    code += "\n".join(contract("messages").values())
    # Rust continues a literal after a backslash; Python joins adjacent literals.
    code = re.sub(r"\\\n\s*", "", code)
    code = re.sub(r"""["']\s*\n\s*f?["']""", "", code).replace('\\"', '"')
    return re.sub(r"\{[^{}]*\}|%[rsd]", "…", code)


@pytest.mark.parametrize("text", quoted_messages())
@pytest.mark.proves("E1")
def test_a_quoted_message_is_one_that_can_be_read(text: str) -> None:
    assert text in sources()


def test_the_pictures_are_small_and_credited() -> None:
    readme = README.read_text()
    pictures = re.findall(r"^!\[[^]]+\]\((docs/images/[^)]+)\)$", readme, re.MULTILINE)
    assert sorted(pictures) == sorted(f"docs/images/{path.name}" for path in (ROOT / "docs" / "images").iterdir())
    assert all((ROOT / picture).stat().st_size <= 300_000 for picture in pictures)
    assert "Big Buck Bunny, CC-BY 3.0, Blender Foundation" in readme


def test_every_example_is_in_the_table() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    listed = re.findall(r"^\| \[`(\w+\.py)`\]\(\.\./examples/\1\) \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))


TROUBLE = re.compile(
    r"^### .+\n\n(?:(?:    .+\n)+\n|(?!\*\*).+\n\n)?\*\*Cause\.\*\* (?:.+\n)+\n\*\*Fix\.\*\* (?:.+\n)+", re.MULTILINE
)


def test_every_trouble_has_a_cause_and_a_fix() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert len(TROUBLE.findall(page)) == page.count("\n### ")


@pytest.mark.parametrize(
    ("pattern", "claim"),
    [
        (r'"first_chunks": \[(\d+)', "room for {} frames"),
        (r'pub const IOX2_VERSION: &str = "([\d.]+)"', "| iceoryx2 | {} |"),
        (r'rust-version = "([\d.]+)"', "Rust ≥ {}"),
        (r'requires-python = ">=([\d.]+)"', "Python ≥ {}"),
    ],
)
def test_a_number_is_the_one_in_the_code(pattern: str, claim: str) -> None:
    limits = ROOT / "python" / "gst_iceoryx2" / "contract" / "limits.json"
    files = [ROOT / "pyproject.toml", ROOT / "Cargo.toml", limits, *(ROOT / "crates" / "core" / "src").rglob("*.rs")]
    found = {number for file in files for number in re.findall(pattern, file.read_text())}
    assert len(found) == 1, found
    assert claim.format(found.pop()) in " ".join(README.read_text().split())
