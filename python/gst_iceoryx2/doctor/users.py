"""Checks which user owns the domain."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .._iox2.domain import Domain
from .._iox2.folders import in_folders
from .finding import Finding, ok, problem

_REMEDY: Final = (
    "run all participants as one user, or give this user a separate domain: "
    "export IOX2_VIDEO_DOMAIN=$XDG_RUNTIME_DIR/iox2 for all programs that share streams (docs/operations.md)"
)


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Check the owners of the folders and services in the domain."""
    root = Path(domain.root)
    obstacle = in_folders(domain)
    if obstacle is not None:
        yield problem(*obstacle.parts())
        return
    if not os.path.exists(root):
        parent = next(folder for folder in root.parents if os.path.exists(folder))
        if os.access(parent, os.W_OK | os.X_OK):
            yield ok(f"{root} does not exist yet; the first participant creates it")
        else:
            yield problem(f"{root} does not exist, and this user cannot create it in {parent}", _REMEDY)
        return
    owner = root.stat().st_uid
    others = sorted({uid for uid in _owners(domain) if uid != owner})
    if others:
        names = ", ".join(map(_user, others))
        yield problem(
            f"services in {root} belong to {_user(owner)} and to {names}; only root can open another user's services",
            _REMEDY,
        )
    else:
        yield ok(f"{root} and its services belong to {_user(os.geteuid())}")


def _owners(domain: Domain) -> Iterator[int]:
    for path in (*domain.services.glob("*.service"), *domain.nodes.glob("*.node_monitor")):
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_uid


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with id {uid}"
