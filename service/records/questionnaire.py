"""FHIR's invariants of Questionnaire, que-1 to que-13 as R4 publishes them."""

from collections.abc import Iterator
from typing import Any

Fault = tuple[str, str]
Fields = dict[str, Any]
LENGTHS = frozenset({"boolean", "decimal", "integer", "string", "text", "url", "open-choice"})
CHOICES = frozenset({"choice", "open-choice"})
LISTED = CHOICES | {"decimal", "integer", "date", "dateTime", "time", "string", "quantity"}
WORDLESS = frozenset({"code", "required", "repeats", "readOnly"})
UNGUIDED = 2
"""R4 says `count() > 2`; later releases say more than one."""


def questionnaire(value: Fields) -> Iterator[Fault]:
    seen: set[str] = set()
    waiting = list(value.get("item", ()))
    while waiting:
        found = waiting.pop()
        waiting += found.get("item", ())
        link = found.get("linkId", "")
        if link in seen:
            yield "", "que-2: every linkId is used once."
            return
        seen.add(link)


def enable_when(value: Fields) -> Iterator[Fault]:
    if value.get("operator") == "exists" and "answerBoolean" not in value:
        yield "", "que-7: `exists` compares with a boolean."


def item(value: Fields) -> Iterator[Fault]:
    kind = value.get("type")
    if kind == "group" and "item" not in value:
        yield "", "que-1: a group has items."
    if kind == "display" and ("item" in value or WORDLESS & value.keys()):
        yield "", "que-1, 3, 6, 9: a display item only shows text."
    if "answerOption" in value and "answerValueSet" in value:
        yield "", "que-4: answerOption and answerValueSet exclude each other."
    if kind not in LISTED and ("answerOption" in value or "answerValueSet" in value):
        yield "", "que-5: this type has no list of answers."
    if kind in {"group", "display"} and "initial" in value:
        yield "", "que-8: this type has no initial value."
    if "maxLength" in value and kind not in LENGTHS:
        yield "", "que-10: this type has no maxLength."
    if "answerOption" in value and "initial" in value:
        yield "", "que-11: answerOption and initial exclude each other."
    if len(value.get("enableWhen", ())) > UNGUIDED and "enableBehavior" not in value:
        yield "", "que-12: several conditions need an enableBehavior."
    if len(value.get("initial", ())) > 1 and value.get("repeats") is not True:
        yield "", "que-13: several initial values need repeats."
