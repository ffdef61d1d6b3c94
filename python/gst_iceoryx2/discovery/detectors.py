"""Finds the detectors of a source. Does not import iceoryx2."""

from __future__ import annotations

from .._iox2.description import list_services
from .._iox2.domain import current_domain
from .._wire.results import parse_results_service, source_name


def detectors(source: str | None = None) -> list[str]:
    """Return the names of the detectors whose results can be read in this process's domain, sorted.

    Args:
        source: Name of the source: `cam0`, or `video/cam0/frame/v2`. The name of a rendition stands for its source.
            None = the detectors of all sources.

    Raises:
        InvalidServiceNameError: The name cannot be used.

    Example:
        Print the detectors of a camera:

            from gst_iceoryx2.discovery import detectors

            print(detectors("cam0"))
    """
    wanted = None if source is None else source_name(source)
    parsed = (parse_results_service(record.name) for record in list_services(current_domain()))
    return sorted({found[1] for found in parsed if found is not None and wanted in (None, found[0])})
