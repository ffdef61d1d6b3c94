"""Exit codes, one-line errors, and the examples at the end of a command's help."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Final

import click
from click.core import ParameterSource

from gst_iceoryx2.errors import (
    FrameTimeoutError,
    InvalidServiceNameError,
    Iox2VideoError,
    MissingExtraError,
    ServiceNotFoundError,
    printable,
)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOTHING: Final = 3
INTERRUPTED: Final = 130


class Failed(click.ClickException):
    """The command failed: `Error: …` on stderr, exit code 1."""

    exit_code = FAILED


class Misused(click.ClickException):
    """The arguments are invalid, or need an extra that is not installed: exit code 2."""

    exit_code = USAGE


def refuse_options(names: Iterable[str], used: str) -> None:
    """Refuse options of the running command that have no meaning with another one.

    Args:
        names: Names of their parameters.
        used: The option that was used.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(one.opts[-1] for one in context.command.params if one.name == name)
            raise Misused(f"{option} cannot be combined with {used}")


class Nothing(click.ClickException):
    """The service does not exist, or no frame arrived in time: exit code 3."""

    exit_code = NOTHING


def outcome_of(exc: Iox2VideoError) -> click.ClickException:
    """Return the command's error for an SDK error."""
    text = str(exc)
    if isinstance(exc, MissingExtraError | InvalidServiceNameError):
        return Misused(text)
    if isinstance(exc, ServiceNotFoundError | FrameTimeoutError):
        return Nothing(text)
    return Failed(text)


def failed_over(exc: OSError) -> Failed:
    """Return the command's error for an operating-system error, such as a full disk or a missing permission."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        what = f"{os.fsdecode(exc.filename)}: " if isinstance(exc.filename, str | bytes) else ""
        return Failed(printable(f"{what}{exc.strerror or exc}"))
    # Otherwise the flush at exit would fail again.
    forget_stdout()
    return Failed(f"cannot write the output: {exc.strerror or exc}")


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn exceptions into one printable line on stderr and an exit code."""
    try:
        yield
    except click.ClickException as exc:
        exc.message = printable(exc.message)  # type: ignore[misc]
        raise
    except Iox2VideoError as exc:
        raise outcome_of(exc) from exc
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        forget_stdout()
        raise click.exceptions.Exit(OK) from None
    except OSError as exc:
        raise failed_over(exc) from exc


def forget_stdout() -> None:
    """Redirect stdout to /dev/null after its reader has closed it, so that the interpreter exits without an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def ready_streams() -> None:
    """Make sure that printing cannot fail.

    A closed stream (`>&-`) is redirected to /dev/null. Otherwise the next file that is opened, possibly shared memory,
    would get its descriptor number. Characters that stdout's encoding cannot represent are replaced.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "replace")


def examples(*lines: str) -> str:
    """Format the examples at the end of a command's help (`epilog=`)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
