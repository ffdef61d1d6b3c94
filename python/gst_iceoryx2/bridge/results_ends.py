"""Services of results as ends of a bridge."""

from __future__ import annotations

from typing import Final

from .._wire.results import MAX_RESULTS_BYTES, parse_results_service
from ..contract import limit
from ..results import ResultsPublisher, ResultsSubscriber
from .ends import FramesOnly
from .message import Unsound
from .parcel import Parcel, add_hops, cut_hops

_MAX_SECTIONS: Final = limit("max_results_sections")


class FromResults(FramesOnly):
    """Receives the results of a detector. The newest 64 wait for a slow target."""

    def __init__(self, service: str) -> None:
        self._subscriber = ResultsSubscriber(*_names(service))

    @property
    def passed_over(self) -> int:
        """Number of results that were dropped, because the buffer was full."""
        return self._subscriber.stats.dropped

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the next results (see `From.next`)."""
        results = self._subscriber.receive_blocking(timeout * 1000)
        if results is None:
            return None
        header, parcel = results._header, Parcel(results=results._header, data=results._payload)
        cut = cut_hops(results._payload) if header.entries else None
        if cut is not None:
            parcel.data, parcel.hops = cut
            header.entries -= 1
        return parcel

    def close(self) -> None:
        """Close the subscriber."""
        self._subscriber.close()


class ToResults(FramesOnly):
    """Publishes results as a service."""

    is_wanted = True

    def __init__(self, service: str) -> None:
        self._service = service
        self._publisher: ResultsPublisher | None = None

    def put(self, parcel: Parcel) -> int:
        """Publish results (see `To.put`)."""
        header = parcel.results
        if header is None:
            return 0
        payload, header.entries = add_hops(bytes(parcel.data), parcel.hops), header.entries + 1
        if len(payload) > MAX_RESULTS_BYTES or header.entries > _MAX_SECTIONS:
            raise Unsound(
                "results too large",
                f"with the IDs of bridges, {len(payload)} bytes (limit {MAX_RESULTS_BYTES}) and {header.entries} "
                f"sections (limit {_MAX_SECTIONS})",
            )
        if self._publisher is None:
            self._publisher = ResultsPublisher(*_names(self._service))
        self._publisher._send(payload, header)
        return len(parcel.data)

    def close(self) -> None:
        """Close the publisher."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()


def _names(service: str) -> tuple[str, str]:
    """Return the source and the detector of a service of results."""
    return parse_results_service(service) or (service, "")
