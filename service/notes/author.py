"""Who signs, for whom, with what: what every record of a session has in common."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from service.vocabulary import (
    ACT_CODE,
    AUDIENCE_LABEL,
    CONFIDENTIALITY,
    PART2_LABEL,
    Audience,
    Micros,
    ResourceId,
)

BLANK = re.compile(r"[^\S \r\n\t]")


@dataclass(frozen=True, slots=True)
class Program:
    """The Part 2 program: its Organization and the sensitivities that its mere name reveals."""

    organisation: ResourceId
    sensitivities: tuple[str, ...] = ("SUD",)

    def labels(self) -> list[dict[str, str]]:
        """Restricted, Part 2, and what being served here says about a person."""
        return [
            {"system": CONFIDENTIALITY, "code": "R"},
            {"system": ACT_CODE, "code": PART2_LABEL},
            *({"system": ACT_CODE, "code": code} for code in self.sensitivities),
        ]


@dataclass(frozen=True, slots=True)
class Author:
    """The signing peer, their tablet, and the operation whose ids every derived id follows."""

    practitioner: ResourceId
    program: Program
    device: ResourceId
    operation: ResourceId
    operation_digest: str
    received: Micros

    def derived(self, name: str) -> ResourceId:
        """A server-made id that a replay of the operation makes again."""
        return ResourceId(str(uuid5(UUID(self.operation), name)))

    def recorded(self) -> str:
        return instant(datetime.fromtimestamp(self.received / 1_000_000, UTC))


def instant(at: datetime) -> str:
    """FHIR instant, to the second, with the offset that the tablet had."""
    return at.isoformat(timespec="seconds")


def plain(text: str) -> str:
    """As a FHIR string, whose only blanks are space, tab and line ends; tablets type others too."""
    return BLANK.sub(" ", text)


def reference(type_: str, id_: str) -> dict[str, Any]:
    return {"reference": f"{type_}/{id_}"}


def named(holder: dict[str, Any], element: str, type_: str) -> ResourceId | None:
    """The id in `element`, a Reference to a record of this type stored here; None if it is not."""
    value = holder.get(element)
    text = value.get("reference") if isinstance(value, dict) else None
    found = re.fullmatch(rf"{type_}/([0-9a-f-]{{36}})(/_history/\d+)?", str(text))
    return ResourceId(found[1]) if found else None


def private_label() -> dict[str, str]:
    return {"system": AUDIENCE_LABEL, "code": Audience.PRIVATE.value}
