"""The 42 CFR 2.32 notice on the way out: text, scope of the consent, marks (privacy, section 2).

A denied answer carries none of it: its absence must not tell anything.
"""

from dataclasses import dataclass

from service.access.act import Act
from service.consent.notice import LONG_STATEMENT, SHORT_STATEMENT, egress_marks
from service.errors import Issue
from service.web import operation_outcome


@dataclass(frozen=True, slots=True)
class Notice:
    """What one disclosure by consent must carry; `consents` are ids of the Consents relied on."""

    consents: tuple[str, ...]
    marks: tuple[dict[str, str], ...]

    def outcome(self) -> bytes:
        scope = ", ".join(f"Consent/{consent}" for consent in self.consents)
        return operation_outcome(
            Issue("informational", LONG_STATEMENT),
            Issue(
                "informational",
                f"Disclosed under the written consent recorded as {scope}, for its recipients,"
                " purposes, kinds of information and period only.",
            ),
            severity="information",
        )

    def headers(self) -> dict[str, str]:
        return {
            "part2-notice": SHORT_STATEMENT,
            "part2-consent": " ".join(f"Consent/{consent}" for consent in self.consents),
        }


def due(act: Act) -> Notice | None:
    """Called once the records were met: a notice if this act disclosed anything by consent."""
    act.explain()
    consents = sorted({consent for found in act.sources.values() for consent in found})
    return Notice(tuple(consents), egress_marks()) if consents else None
