"""The FHIR door: R4 under /fhir. The open documents come first, then the types."""

from fastapi.routing import APIRouter

from service.fhir import break_glass, reading, searching, statement, writing
from service.fhir.described import ANSWERS, FhirResponse

router = APIRouter(tags=["fhir"], default_response_class=FhirResponse, responses=ANSWERS)
router.include_router(statement.router)
router.include_router(break_glass.router)
router.include_router(searching.router)
router.include_router(reading.router)
router.include_router(writing.router)
