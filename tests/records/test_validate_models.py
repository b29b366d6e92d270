"""Two judges: whatever the models refuse, schema and survey refuse first.

fhir.resources is a second opinion. This holds the two against each other on valid resources that
were damaged at random, so that neither an upgrade there nor a gap here goes unnoticed.
"""

from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from valid_resources import VALID

from service.records import validate as pipeline
from service.records.parts import parts
from service.records.survey import Survey

SCALARS = st.sampled_from(
    ["", "a", " a", "true", "1.5", "2026-02-30", "2026-02-28", "2026-02-28T10:00:00Z",
     "Patient/1", "final", "10:00:00", 0, 1, -1, 2**40, True, False, None, "urn:uuid:a",
     "http://a b", "YQ=="]
)  # fmt: skip
NAMES = st.sampled_from(
    ["id", "status", "code", "value", "valueString", "valueBoolean", "_valueString", "text",
     "period",
     "extension", "reference", "contained", "resourceType", "meta", "given", "_given", "coding",
     "system", "start", "end", "url", "class", "item", "answer", "modifierExtension",
     "fhir_comments"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a resource."""
    found = []
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        found.append((value, key))
        if isinstance(child, (dict, list)):
            found += places(child)
    return found


@settings(max_examples=400)
@given(st.sampled_from(sorted(VALID)), st.data())
def test_the_models_find_nothing_that_we_overlook(kind: str, data: st.DataObject) -> None:
    resource = deepcopy(VALID[kind])
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(places(resource)))
        match data.draw(st.sampled_from(["drop", "replace", "add"])):
            case "drop":
                del container[key]
            case "add" if isinstance(container, dict):
                container[data.draw(NAMES)] = data.draw(VALUES)
            case _:
                container[key] = data.draw(VALUES)
        if not places(resource):
            return
    (part, *_) = found = list(parts(resource))
    if any(list(pipeline._structural(one)) for one in found):
        return
    if not any(Survey(one).issues for one in found):
        assert not list(pipeline._modelled(part)), resource
