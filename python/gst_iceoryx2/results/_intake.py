"""Turn received samples into results: copy them, then check the copies."""

from __future__ import annotations

import ctypes

from .._iox2 import types
from .._wire.fault import Fault
from .._wire.header import NONE_U64
from .._wire.result_payload import decode_tables
from .._wire.results import RESULTS_HEADER_SIZE, RESULTS_VERSION, VideoResultsHeader, validate_results
from .._wire.stamp import Stamp
from ..video._drops import DropCounter
from ..video._memory import Ledger
from ..video._samples import SampleReader
from .result import Results


class ResultsIntake:
    """Creates results from the samples of one service.

    Attributes:
        received: Results created.
        ledger: Holds nothing, because results are copies.
    """

    def __init__(self, name: str, detector: str, *, is_local: bool) -> None:
        self._detector = detector
        self.received = 0
        self.ledger = Ledger()
        self._drops = DropCounter()
        self._samples = SampleReader(name, "result", RESULTS_HEADER_SIZE, is_local=is_local)
        # Publisher and next number of the latest sample.
        self._stream: int | None = None
        self._expected = 0

    @property
    def invalid(self) -> int:
        """Samples rejected."""
        return self._samples.invalid

    @property
    def dropped(self) -> int:
        """Results that did not arrive."""
        return self._drops.total or 0

    def begin(self, *, was_first: bool, has_sole_publisher: bool) -> None:
        """Prepare for a new connection; see `DropCounter`."""
        self._drops.was_first |= was_first
        self._drops.has_sole_publisher = has_sole_publisher

    def settle(self) -> None:
        """Nothing is deferred here."""

    def following(self) -> Results | None:
        """Return None: each sample gives at most one result."""
        return None

    def take(self, sample: types.Sample, port: types.Subscriber) -> Results | None:
        """Create results from a sample; None if it is rejected, or received again."""
        read = self._samples.read(sample)
        if read is None:
            return None
        header, length = VideoResultsHeader.from_buffer_copy(read[0]), read[1]
        if header.version == RESULTS_VERSION and not self._note(header):
            # After a reconnection, the publisher delivers again what it kept.
            return None
        fault = validate_results(header, length)
        if fault is not None:
            self._samples.refuse(fault)
            return None
        payload = ctypes.string_at(sample.payload_ptr, length)
        tables = decode_tables(payload, header.entries)
        if isinstance(tables, Fault):
            self._samples.refuse(tables)
            return None
        self.received += 1
        return Results()._fill(self._detector, header, tables, payload)

    def _note(self, header: VideoResultsHeader) -> bool:
        """Note a sample that arrived, valid or not; return whether it is new."""
        if header.stream == self._stream and header.sequence < self._expected:
            return False
        self._drops.note(Stamp(publisher=header.stream, sequence=header.sequence), NONE_U64)
        self._stream, self._expected = header.stream, header.sequence + 1
        return True
