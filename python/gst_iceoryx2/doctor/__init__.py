"""Finds problems with a machine, a domain and an installation, and suggests a fix for each.

    from gst_iceoryx2.doctor import examine

    for finding in examine():
        print(finding.status, finding.check, finding.text, finding.remedy)

`examine()` does not change anything. `examine(fix=True)` removes only files and memory left behind by crashed
participants, with the same clean-up that every participant uses.
"""

from __future__ import annotations

from .examination import CHECKS, examine, healthy
from .finding import Finding, Status

__all__ = ["CHECKS", "Finding", "Status", "examine", "healthy"]
