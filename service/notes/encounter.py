"""Session to Encounter (domain reference, section 10): the header, with no narrative in it."""

from typing import Any

from service.notes import codes
from service.notes.author import Author, instant, reference
from service.notes.session import Session


def encounter(session: Session, author: Author) -> dict[str, Any]:
    code, display = codes.SERVICES[session.service]
    period = {"start": instant(session.occurred.start), "end": instant(session.occurred.end)}
    resource: dict[str, Any] = {
        "resourceType": "Encounter",
        "id": session.id,
        "meta": {"profile": [codes.US_CORE_ENCOUNTER], "security": author.program.labels()},
        "identifier": [codes.uuid_identifier(session.id)],
        "status": "finished",
        "class": codes.encounter_class(session.modality, session.place),
        "type": [codes.encounter_type(session.modality)],
        "serviceType": codes.concept(codes.SERVICE_TYPE, code, display),
        "subject": reference("Patient", session.participant),
        "participant": [
            {
                "type": [codes.concept(codes.PARTICIPATION, "PPRF", "primary performer")],
                "period": period,
                "individual": reference("Practitioner", author.practitioner),
            }
        ],
        "period": period,
        "length": {
            "value": session.occurred.minutes,
            "unit": "min",
            "system": codes.UCUM,
            "code": "min",
        },
        "serviceProvider": reference("Organization", author.program.organisation),
    }
    if session.order:
        resource["basedOn"] = [reference("ServiceRequest", session.order)]
    if session.location:
        resource["location"] = [{"location": reference("Location", session.location)}]
    return resource
