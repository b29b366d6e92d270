"""Binary: as FHIR JSON, or as the raw bytes it holds (R4 binary.html#rest).

It is only as visible as the document it belongs to. Raw bytes are never rendered by a browser.
"""

import base64
from typing import Any

from fastapi import Request, Response

from service.access.caller import Presented
from service.access.enforce import Access
from service.fhir import notice
from service.fhir.answers import JSON_TYPES, one, version_headers
from service.records.document import parse
from service.vocabulary import Action, Purpose


def read(
    request: Request, id_: str, caller: Presented, access: Access, purpose: Purpose | None
) -> Response:
    with access.permit(Action.READ, caller, type="Binary", id=id_, purpose=purpose) as act:
        stored = act.records.read("Binary", id_)
        due = notice.due(act)
    if _wants_json(request):
        return one(request, stored, due)
    content: dict[str, Any] = parse(stored.body)
    headers = version_headers(stored) | (due.headers() if due else {})
    headers["content-disposition"] = "attachment"
    data = base64.b64decode(content.get("data", ""))
    return Response(data, 200, headers, str(content["contentType"]))


def _wants_json(request: Request) -> bool:
    """JSON unless the caller names another type: clients that say nothing expect a resource."""
    wanted = request.query_params.get("_format") or request.headers.get("accept", "")
    kinds = {part.split(";")[0].strip().lower() for part in wanted.split(",")}
    return bool(kinds & JSON_TYPES) or not kinds - {"", "*/*"}
