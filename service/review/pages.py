"""The front page: what this house is and where its doors are. Holds nothing about anybody."""

from fastapi import Request, Response
from fastapi.routing import APIRouter

router = APIRouter(include_in_schema=False)

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>peernotes</title><link rel="stylesheet" href="/static/page.css"></head>
<body><main>
<h1>peernotes</h1>
<p>Case notes of peer support specialists. This is the service; people reach it through their
tablet, their EHR or their desk.</p>
{demo}
<h2>Doors</h2>
<dl>
<dt><a href="/fhir/metadata">/fhir</a></dt><dd>FHIR R4 for EHR systems
 (<a href="/fhir/.well-known/smart-configuration">SMART configuration</a>)</dd>
<dt>/sync/v1</dt><dd>what tablets speak</dd>
<dt>/supervise</dt><dd>the supervisor's queue</dd>
<dt>/review</dt><dd>ledger entries, proofs, accounting of disclosures</dd>
<dt><a href="/ledger/checkpoint">/ledger/checkpoint</a></dt><dd>the ledger's newest signed
 checkpoint, for any verifier</dd>
<dt><a href="/readyz">/readyz</a></dt><dd>whether reads and writes would be answered now</dd>
</dl>
</main></body></html>
"""
DEMO = """<p class="demo">Demo mode: fictional people, this machine only. In a terminal,
<code>make demo</code> plays the mission; sign-ins are in <code>demo/staff.json</code> in the data
directory.</p>"""
STYLE = """
body { font: 18px/1.5 system-ui, sans-serif; margin: 0; color: #1b2a2f; background: #f6f4ef; }
main { max-width: 44rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 2.2rem; margin: 0 0 .5rem; }
dt { font-family: ui-monospace, monospace; font-weight: 600; margin-top: .8rem; }
dd { margin: 0; }
.demo { background: #fff3c9; border-left: 4px solid #b07d00; padding: .6rem 1rem; }
a { color: #005a70; }
@media (prefers-color-scheme: dark) {
  body { color: #e8ecec; background: #16201f; } a { color: #7fd0e3; }
  .demo { background: #3a3110; }
}
"""


@router.get("/")
def front(request: Request) -> Response:
    demo = DEMO if request.app.state.settings.mode == "demo" else ""
    return Response(PAGE.format(demo=demo), 200, None, "text/html; charset=utf-8")


@router.get("/static/page.css")
def style() -> Response:
    headers = {"cache-control": "public, max-age=3600"}
    return Response(STYLE, 200, headers, "text/css; charset=utf-8")
