"""Which interactions each type has: the table that routes and CapabilityStatement share."""

from dataclasses import dataclass

READING = ("read", "vread", "history-instance", "search-type")
WRITING = ("create", "update")


@dataclass(frozen=True, slots=True)
class Capability:
    """`if_match`: an update must name the version it replaces (400 without)."""

    interactions: tuple[str, ...]
    if_match: bool = False
    includes: tuple[str, ...] = ()
    revincludes: tuple[str, ...] = ()

    def allows(self, interaction: str) -> bool:
        return interaction in self.interactions


FULL = (*READING, *WRITING)
CAPABILITIES: dict[str, Capability] = {
    "Patient": Capability(FULL, revincludes=("Provenance:target",)),
    "Encounter": Capability(
        FULL, includes=("Encounter:patient",), revincludes=("Provenance:target",)
    ),
    "DocumentReference": Capability(
        FULL, if_match=True, includes=("DocumentReference:patient", "DocumentReference:encounter"),
        revincludes=("Provenance:target",),
    ),
    "Binary": Capability(("read", "vread", "create", "update")),
    "Consent": Capability(FULL, if_match=True),
    "Provenance": Capability(("read", "vread", "history-instance", "search-type", "create")),
    "Practitioner": Capability(FULL),
    "PractitionerRole": Capability(FULL, includes=("PractitionerRole:practitioner",)),
    "Organization": Capability(FULL),
    "Location": Capability(FULL),
    "CareTeam": Capability(FULL, if_match=True),
    "Task": Capability(FULL),
    "Condition": Capability(FULL),
    "Goal": Capability(FULL),
    "CarePlan": Capability(FULL),
    "Observation": Capability(FULL),
    "QuestionnaireResponse": Capability(FULL),
    "ServiceRequest": Capability(FULL),
    "RelatedPerson": Capability(FULL),
    "AuditEvent": Capability(("read", "search-type")),
}  # fmt: skip
