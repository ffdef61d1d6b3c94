"""The type of a stream: media type, label, group and properties. It is written as caps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .._wire.caps import parse_caps
from .._wire.text import write_structure
from .._wire.value import FieldValue
from ..errors import FormatError
from .paths import DEFAULT_GROUP

_LABEL = "label"
_GROUP = "group"


@dataclass(frozen=True)
class ShType:
    """The type of a stream, as described by its type text.

    Attributes:
        media: Media type, such as `video/x-raw`, `audio/x-raw` or `application/x-…`.
        label: Name of the stream; empty if the type text does not contain one.
        group: Group of the stream.
        properties: Dict from name to value for the other fields. Values are str, int, float, bool, Fraction or flat
            lists.

    Example:
        Write a type text and parse it again:

            from gst_iceoryx2.sh4lt import ShType

            kind = ShType("video/x-raw", label="cam0", properties={"format": "RGBA", "width": 640})
            assert kind.to_caps() == "video/x-raw, format=(string)RGBA, width=(int)640, label=(string)cam0"
            assert ShType.from_caps(kind.to_caps()) == kind
    """

    media: str
    label: str = ""
    group: str = DEFAULT_GROUP
    properties: Mapping[str, FieldValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", MappingProxyType(dict(self.properties)))

    @classmethod
    def from_caps(cls, text: str) -> ShType:
        """Parse a type text.

        Args:
            text: Caps with one structure.

        Raises:
            FormatError: The text is not a single caps structure, or the label or group is not a string.
        """
        caps = parse_caps(text)
        fields = dict(caps.fields)
        label, group = fields.pop(_LABEL, ""), fields.pop(_GROUP, DEFAULT_GROUP)
        if not isinstance(label, str) or not isinstance(group, str):
            raise FormatError(f"label {label!r} and group {group!r} of a type text must be strings")
        return cls(caps.media, label, group, fields)

    def to_caps(self) -> str:
        """Return the type text: caps that GStreamer can parse. An empty label and the default group are omitted.

        Raises:
            FormatError: A name or value cannot be written.
        """
        fields = dict(self.properties)
        if self.label:
            fields[_LABEL] = self.label
        if self.group != DEFAULT_GROUP:
            fields[_GROUP] = self.group
        return write_structure(self.media, fields).removesuffix(";")
