"""Find problems of a machine, a domain and an installation, each with a fix.

    from gst_iceoryx2.doctor import examine

    for finding in examine():
        print(finding.status, finding.check, finding.text, finding.remedy)

`examine()` changes nothing. `examine(fix=True)` removes what crashed participants left behind, and nothing else. It
uses the same clean-up as every participant.
"""

from __future__ import annotations

from .examination import CHECKS, examine, healthy
from .finding import Finding, Status

__all__ = ["CHECKS", "Finding", "Status", "examine", "healthy"]
