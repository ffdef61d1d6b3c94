"""Plans for the snippets of docs/serve.md."""

from __future__ import annotations

import pytest

from tests.processes.markdown import Snippet
from tests.processes.plans.plan import runs, stop
from tests.processes.programs import Program, Programs, wait_for_text


def serving(programs: Programs, line: str = "") -> Program:
    """Serve a test picture as cam0, on demand."""
    (programs.folder / "streams.toml").write_text(f'[streams.cam0]\ntest = true\nsize = "320x180"\n{line}\n')
    return programs.shell("exec iox2-video serve streams.toml")


@runs("(640, 640, 3)\n```", "print(rendition.to_source(320, 320))  # in pixels of cam0")
def reads_a_rendition(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    supervisor, program = serving(programs), programs.python(snippet.text)
    wait_for_text(program, "(159.75, 89.75)" if "to_source" in snippet.text else "(640, 640, 3)")
    stop(program, supervisor)


@runs("supervisor = Supervisor(streams)")
def supervises(programs: Programs, snippet: Snippet) -> None:
    (programs.folder / "streams.toml").write_text('[streams.cam0]\ntest = true\nsise = "320x180"\n')
    program = programs.python(snippet.text)
    wait_for_text(program, 'did you mean "size"?')
    stop(program)
