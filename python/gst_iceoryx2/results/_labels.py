"""The labels of one result: each text once."""

from __future__ import annotations

from typing import Final

from .._wire.result_tables import NONE_U32
from ..errors import FormatError


class Labels:
    """Collects texts, and gives each its position.

    Attributes:
        names: The texts in the order of their first use.
    """

    def __init__(self) -> None:
        self.names: Final[list[str]] = []
        self._positions: Final[dict[str | None, int]] = {None: NONE_U32}

    def index(self, label: str | None) -> int:
        """Return the position of a text; `NONE_U32` for None.

        Raises:
            FormatError: The label is not a text.
        """
        position = self._positions.get(label)
        if position is None:
            if not isinstance(label, str):
                raise FormatError(f"a label must be a str or None, not {type(label).__name__} ({label!r})")
            position = self._positions[label] = len(self.names)
            self.names.append(label)
        return position
