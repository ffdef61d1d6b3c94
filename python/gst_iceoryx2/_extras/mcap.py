"""The package mcap, if it is installed: files of messages. No other module imports it."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from ..errors import MissingExtraError

try:
    import lz4.frame
    import zstandard
    from mcap.data_stream import ReadDataStream
    from mcap.exceptions import EndOfFile, McapError
    from mcap.opcode import Opcode
    from mcap.reader import SeekingReader
    from mcap.records import Channel, Chunk, Message, Schema
    from mcap.stream_reader import StreamReader
    from mcap.writer import MCAP0_MAGIC, CompressionType, Writer
except ImportError as exc:
    raise MissingExtraError(
        f"MCAP files need the package mcap, which cannot be imported ({exc}); "
        "run `pip install 'iox2-video[mcap]'` (in a clone: `pip install '.[mcap]'`)"
    ) from exc

# A chunk is written when it has this many bytes, or its first message is this old, in seconds.
_CHUNK_BYTES: Final = 1 << 20
_CHUNK_SECONDS: Final = 1.0
# The writer itself never completes a chunk.
_NEVER: Final = 1 << 62
# A larger record or chunk is refused, because it would fill the memory.
_LARGEST: Final = 1 << 30
# What the package raises for files with wrong content. RuntimeError is lz4's.
_FAULTS: Final = (
    McapError,
    zstandard.ZstdError,
    struct.error,
    ValueError,
    LookupError,
    OverflowError,
    MemoryError,
    RuntimeError,
    TypeError,
)
# Opcode and number of bytes of a record.
_HEAD: Final = struct.Struct("<BQ")
_RECORDS: Final[Mapping[int, Callable[[Any, int], Any]]] = {
    Opcode.SCHEMA: lambda stream, size: Schema.read(stream),
    Opcode.CHANNEL: lambda stream, size: Channel.read(stream),
    Opcode.MESSAGE: Message.read,
}
"""How the records in a chunk are read."""

_Index: TypeAlias = list[tuple[int, Collection[int]]]
"""Offset of each chunk, and the numbers of the channels in it."""


class McapFault(Exception):
    """The content of a file is wrong. The text says how."""


class McapWriter:
    """Writes an indexed file in chunks. If the process is killed, the file lacks its last chunk and the index.

    Chunks are not compressed, because video is already.

    Args:
        path: The file. It is replaced.

    Attributes:
        written: Number of messages in chunks that were written.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.written = 0
        self._output = _Output(path)
        self._writer = Writer(self._output, chunk_size=_NEVER, compression=CompressionType.NONE)
        self._schemas: dict[str, int] = {}
        self._counts: dict[int, int] = {}
        self._pending = 0
        self._since = 0.0
        try:
            self._writer.start(library="iox2-video")
        except BaseException:
            self._output.close()
            raise

    def add_metadata(self, name: str, data: Mapping[str, str]) -> None:
        """Write texts about the file."""
        self._writer.add_metadata(name, dict(data))

    def add_channel(self, topic: str, schema: str, definition: bytes) -> int:
        """Add a channel of protobuf messages, and return its number.

        Args:
            topic: Name of the channel.
            schema: Full name of the type of the messages.
            definition: Serialised FileDescriptorSet with this type.
        """
        if schema not in self._schemas:
            self._schemas[schema] = self._writer.register_schema(schema, "protobuf", definition)
        channel: int = self._writer.register_channel(topic, "protobuf", self._schemas[schema])
        self._counts[channel] = 0
        return channel

    def add(self, channel: int, log_time: int, data: bytes) -> None:
        """Add a message, and write the chunk if it is due.

        Args:
            channel: Number of the channel.
            log_time: Time in nanoseconds since 1970.
            data: The message.

        Raises:
            OSError: Writing failed. The file keeps the chunks that were written before.
        """
        now = time.monotonic()
        if not self._pending:
            self._since = now
        self._writer.add_message(channel, log_time, data, log_time, self._counts[channel])
        self._counts[channel] += 1
        self._pending += len(data)
        if self._pending >= _CHUNK_BYTES or now - self._since >= _CHUNK_SECONDS:
            self._pending = 0
            self._writer.flush()
            self._note_written()

    def close(self) -> None:
        """Write the last chunk and the index, and close the file. If writing fails or has failed, whole chunks remain.

        Raises:
            OSError: Writing failed now.
        """
        try:
            # After a failure, the writer would put an empty chunk behind the incomplete one.
            if self._output.failure is None:
                self._writer.finish()
                self._note_written()
        finally:
            self._output.close()

    def _note_written(self) -> None:
        self._output.is_whole_until = self._output.tell()
        self.written = sum(self._counts.values())


class _Output:
    """A file without a buffer. When it is closed after an error, what is incomplete is cut off."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._at = 0
        self.is_whole_until = 0
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.failure is not None:
            # Nothing may follow what is incomplete.
            raise self.failure
        rest = memoryview(data)
        while rest:
            try:
                count = os.write(self._descriptor, rest)
            except OSError as exc:
                self.failure = exc
                raise
            self._at += count
            rest = rest[count:]
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        try:
            if self.is_whole_until < self._at:
                os.ftruncate(self._descriptor, self.is_whole_until)
        finally:
            os.close(self._descriptor)


class McapChannel(NamedTuple):
    """A channel of a file.

    Attributes:
        number: Its number.
        topic: Its name.
        encoding: How its messages are encoded: "protobuf", "cdr", "json" …
        schema: Full name of the type of its messages; "" = none.
    """

    number: int
    topic: str
    encoding: str
    schema: str


class McapMessage(NamedTuple):
    """A message of a file.

    Attributes:
        channel: Number of its channel.
        log_time: Time in nanoseconds, usually since 1970.
        data: The bytes.
    """

    channel: int
    log_time: int
    data: bytes


class McapReader:
    """Reads a file, also if it has no index or is cut off.

    Args:
        path: The file.

    Attributes:
        channels: Its channels, in order of their numbers.
        is_cut_off: Whether the end of the file is missing.

    Raises:
        OSError: The file cannot be read.
        McapFault: It is not an MCAP file, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._file = _BoundedFile(path)
        self._index: _Index | None = None
        self.is_cut_off = False
        try:
            if self._file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
                raise McapFault("it is not an MCAP file")
            self.channels = self._read_index() or self._search()
        except BaseException:
            self._file.close()
            raise

    def messages(self, channels: Collection[int]) -> Iterator[McapMessage]:
        """Yield the messages of some channels, in the order of the file, up to where it is cut off.

        Raises:
            OSError: The file cannot be read.
            McapFault: The file is damaged.
        """
        try:
            index = self._index
            records = self._all_records() if index is None else self._indexed_records(index, channels)
            for record in records:
                if isinstance(record, Message) and record.channel_id in channels:
                    yield McapMessage(record.channel_id, record.log_time, record.data)
        except _FAULTS as exc:
            raise McapFault(_reason(exc)) from exc

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_index(self) -> tuple[McapChannel, ...] | None:
        """Read the index at the end; return the channels, or None if there is none that can be used."""
        try:
            self._file.seek(-len(MCAP0_MAGIC), os.SEEK_END)
            if self._file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
                return None
            self._file.seek(0)
            summary = SeekingReader(self._file, record_size_limit=_LARGEST).get_summary()
        except (McapFault, *_FAULTS, OSError):
            return None
        if summary is None or not summary.chunk_indexes:
            return None
        chunks = sorted(summary.chunk_indexes, key=lambda one: one.chunk_start_offset)
        self._index = [(one.chunk_start_offset, one.message_index_offsets.keys()) for one in chunks]
        return _channels(summary.channels.values(), summary.schemas)

    def _search(self) -> tuple[McapChannel, ...]:
        """Find the channels by reading the whole file, and note whether it is cut off."""
        channels: dict[int, Channel] = {}
        schemas: dict[int, Schema] = {}
        try:
            for record in self._all_records():
                if isinstance(record, Channel):
                    channels.setdefault(record.id, record)
                elif isinstance(record, Schema):
                    schemas.setdefault(record.id, record)
        except (McapFault, *_FAULTS) as exc:
            # What precedes the damage can be read.
            if not channels:
                raise McapFault(_reason(exc)) from exc
        return _channels(channels.values(), schemas)

    def _indexed_records(self, index: _Index, channels: Collection[int]) -> Iterator[Any]:
        for offset, numbers in index:
            # Without an index of its messages, a chunk may contain any channel.
            if numbers and not set(channels) & set(numbers):
                continue
            self._file.seek(offset)
            records = StreamReader(self._file, skip_magic=True, emit_chunks=True, record_size_limit=_LARGEST).records
            chunk = next(records)
            if not isinstance(chunk, Chunk):
                raise McapFault("its index is wrong")
            yield from _content(chunk)

    def _all_records(self) -> Iterator[Any]:
        self._file.seek(0)
        reader = StreamReader(self._file, emit_chunks=True, record_size_limit=_LARGEST)
        try:
            for record in reader.records:
                if isinstance(record, Chunk):
                    yield from _content(record)
                else:
                    yield record
        except (EndOfFile, struct.error):
            # The number of bytes of a record, or the record itself, is incomplete.
            self.is_cut_off = True


class _BoundedFile:
    """A file that reads at most `_LARGEST` bytes at once, whatever a record says about its parts."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.seek, self.tell, self.close = self._file.seek, self._file.tell, self._file.close

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST:
            raise McapFault(f"a part of a record has {size:,} bytes, but must have 0 to {_LARGEST:,}")
        return self._file.read(size)


def _content(chunk: Chunk) -> Iterator[Any]:
    """Yield the records of a chunk, one at a time, because a small chunk may contain millions."""
    data, at = _decompressed(chunk), 0
    if chunk.uncompressed_crc and chunk.uncompressed_crc != zlib.crc32(data):
        raise McapFault("the checksum of a chunk is wrong")
    try:
        while at < len(data):
            opcode, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size + size
            content = data[at - size : at]
            if len(content) < size:
                raise McapFault("a record in a chunk is incomplete")
            if opcode in _RECORDS:
                yield _RECORDS[opcode](ReadDataStream(BytesIO(content)), size)
    except (EndOfFile, struct.error) as exc:
        raise McapFault("a record in a chunk is incomplete") from exc


def _decompressed(chunk: Chunk) -> bytes:
    """Return the content of a chunk, whose size is limited."""
    size = chunk.uncompressed_size
    if size > _LARGEST:
        raise McapFault(f"a chunk has {size:,} bytes, but at most {_LARGEST:,} are read")
    data = chunk.data
    if chunk.compression == "zstd":
        data = zstandard.ZstdDecompressor().stream_reader(data).read(size)
    elif chunk.compression == "lz4":
        data = lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=size)
    elif chunk.compression:
        raise McapFault(f"the compression {chunk.compression!r} is unknown")
    if len(data) != size:
        raise McapFault(f"a chunk has {len(data):,} bytes, but should have {size:,}")
    return bytes(data)


def _channels(channels: Any, schemas: Mapping[int, Schema]) -> tuple[McapChannel, ...]:
    found = []
    for one in sorted(channels, key=lambda channel: channel.id):
        schema = schemas.get(one.schema_id)
        found.append(McapChannel(one.id, one.topic, one.message_encoding, "" if schema is None else schema.name))
    return tuple(found)


def _reason(exc: BaseException) -> str:
    return "a record is incomplete" if isinstance(exc, EndOfFile) else " ".join(str(exc).split()) or type(exc).__name__
