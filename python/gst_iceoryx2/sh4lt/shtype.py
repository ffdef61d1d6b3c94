"""What a stream carries: media type, label, group and properties, and the caps text of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .._wire.caps import parse_caps
from .._wire.text import write_structure
from .._wire.values import FieldValue
from ..errors import FormatError
from .dialect import DEFAULT_GROUP

_LABEL = "label"
_GROUP = "group"


@dataclass(frozen=True)
class ShType:
    """Media type and properties of a stream, as a type text describes them.

    Attributes:
        media: Media type: `video/x-raw`, `audio/x-raw`, `application/x-…`.
        label: Name of the stream; empty if the text tells none.
        group: Its group.
        properties: Name to value: str, int, float, bool, Fraction, flat lists.
    """

    media: str
    label: str = ""
    group: str = DEFAULT_GROUP
    properties: Mapping[str, FieldValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", MappingProxyType(dict(self.properties)))

    @classmethod
    def from_caps(cls, text: str) -> ShType:
        """Read a type text.

        Raises:
            FormatError: The text is no single caps structure.
        """
        caps = parse_caps(text)
        fields = dict(caps.fields)
        label, group = fields.pop(_LABEL, ""), fields.pop(_GROUP, DEFAULT_GROUP)
        if not isinstance(label, str) or not isinstance(group, str):
            raise FormatError(f"label {label!r} and group {group!r} of a type text have to be strings")
        return cls(caps.media, label, group, fields)

    def to_caps(self) -> str:
        """The type text: caps that GStreamer reads. Label and group are told only where they are not the default.

        Raises:
            FormatError: A name or value cannot be written.
        """
        fields = dict(self.properties)
        if self.label:
            fields[_LABEL] = self.label
        if self.group != DEFAULT_GROUP:
            fields[_GROUP] = self.group
        return write_structure(self.media, fields).removesuffix(";")
