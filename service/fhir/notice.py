"""The 42 CFR 2.32 notice on its way out: text, scope of the consent, marks (privacy, section 2).

In a Bundle it is an entry of mode outcome, beside a single resource it is a header. A denied answer
carries none of it: its presence would tell what is hidden.
"""

from dataclasses import dataclass
from typing import Any

from service.access.act import Act
from service.consent.notice import STATEMENT_2, Obligations, security
from service.errors import Issue
from service.web import operation_outcome


@dataclass(frozen=True, slots=True)
class Notice:
    """The obligations of one disclosure, in HTTP's and FHIR's terms."""

    due: Obligations

    @property
    def marks(self) -> list[dict[str, Any]]:
        return list(security(self.due.marks))

    def outcome(self) -> bytes:
        return operation_outcome(
            Issue("informational", self.due.notice),
            Issue("informational", self.due.explanation),
            severity="information",
        )

    def headers(self) -> dict[str, str]:
        """Statement 2 fits a header; so does the scope, which is ids, codes and dates."""
        return {"part2-notice": STATEMENT_2, "part2-consent": self.due.explanation}


def due(act: Act) -> Notice | None:
    """Called inside the act, once the records were met."""
    owed = act.obligations()
    return Notice(owed) if owed else None
