"""Consent compiled into rows (design D4): replaced with their consent, the epoch raised with them.

Rules arrive as plain mappings of consent_rule's columns: this floor does not know the room that
compiled them. Tokens, page links and cursors carry the epoch and die when it moves.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, text

from service.database.metadata import GUID
from service.records.tables import consent_epoch, consent_rule
from service.vocabulary import PatientId

RULE = frozenset(consent_rule.c.keys()) - {"patient", "consent", "number"}
NUMBERS = ("conf", "families")  # a driver may take an enum of numbers by its name
REMOVE = delete(consent_rule).where(
    consent_rule.c.patient == bindparam("of", type_=GUID),
    consent_rule.c.consent == bindparam("source", type_=GUID),
)
RAISE = text(
    "INSERT INTO consent_epoch (patient, epoch) VALUES (:patient, 1)"
    " ON CONFLICT (patient) DO UPDATE SET epoch = consent_epoch.epoch + 1"
).bindparams(bindparam("patient", type_=GUID))
EPOCH = select(consent_epoch.c.epoch).where(consent_epoch.c.patient == bindparam("of", type_=GUID))


def replace(
    connection: Connection, patient: PatientId, consent: str, rules: Sequence[Mapping[str, object]]
) -> None:
    """These rules are now all that `consent` says; whoever held an epoch before must ask again."""
    connection.execute(REMOVE, {"of": patient, "source": consent})
    rows: list[dict[str, object]] = []
    for number, rule in enumerate(rules):
        if rule.keys() != RULE:
            raise ValueError("A rule has exactly the columns of consent_rule.")
        values = {k: int(v) if isinstance(v, int) and k in NUMBERS else v for k, v in rule.items()}
        rows.append(values | {"patient": patient, "consent": consent, "number": number})
    if rows:
        connection.execute(insert(consent_rule), rows)
    connection.execute(RAISE, {"patient": patient})


def epoch(connection: Connection, patient: PatientId) -> int:
    """How often this participant's consents have changed; 0 before the first."""
    return connection.execute(EPOCH, {"of": patient}).scalar() or 0
