"""The OpenAPI document: it names FHIR's media types, and nothing it allows is a server error."""

from contextlib import suppress

import pytest
import schemathesis
from house import FHIR_JSON, Service
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance

EXAMPLES = 8
SETTINGS = settings(
    database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def test_fhir_routes_say_that_they_speak_fhir(service: Service) -> None:
    paths = service.web.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        if not path.startswith("/fhir/") or "smart" in path:
            continue
        for method, operation in methods.items():
            assert FHIR_JSON in operation["responses"]["200"]["content"], (method, path)
            assert set(operation["responses"]["4XX"]["content"]) == {FHIR_JSON}
            if method in ("post", "put") and not path.endswith("_search"):
                assert set(operation["requestBody"]["content"]) == {FHIR_JSON}, path


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_whatever_it_allows_is_never_a_server_error(service: Service, mode: GenerationMode) -> None:
    """Generated requests on every operation, conforming or not, of somebody who is signed in."""
    schema = schemathesis.openapi.from_url(f"{service.settings.base_url}/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # any text is a path that conforms
        fhir = operation.path.startswith("/fhir/")
        caller = service.signed_in("dana" if fhir or "/sync/" in operation.path else "casey")
        headers = {"authorization": f"Bearer {caller.token}"}
        checks = [not_a_server_error, *([content_type_conformance] if fhir else [])]

        @settings(SETTINGS, max_examples=EXAMPLES)
        @given(case=operation.as_strategy(mode))
        def hold(case: schemathesis.Case) -> None:
            case.validate_response(case.call(headers=headers), checks=checks)  # noqa: B023

        with suppress(Unsatisfiable):  # nothing to get wrong in a request without parameters
            hold()
