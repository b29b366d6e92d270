"""Required bindings of coded elements with a system; plain codes are in the schema already."""

from typing import Any

from service.records import elements


def fault(value: dict[str, Any], kind: str, name: str) -> str | None:
    """A Coding must be from the value set; of a CodeableConcept at least one coding must be."""
    allowed = elements.codes(name)
    codings = [value] if kind == "Coding" else value.get("coding", ())
    if any(c.get("code") in allowed.get(c.get("system", ""), ()) for c in codings):
        return None
    return "No coding is in the required value set."
