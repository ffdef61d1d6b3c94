"""Why does it not work: what can be wrong with a machine, a domain and an installation, each with what to do.

    from gst_iceoryx2.doctor import examine

    for finding in examine():
        print(finding.status, finding.check, finding.text, finding.remedy)

Looking changes nothing; `examine(fix=True)` removes what crashed participants left, with the clean-up that every
participant uses, and nothing else.
"""

from __future__ import annotations

from .examination import CHECKS, examine, healthy
from .finding import Finding, Status

__all__ = ["CHECKS", "Finding", "Status", "examine", "healthy"]
