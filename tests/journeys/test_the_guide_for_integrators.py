"""The snippet of docs/fhir.md runs as it stands: an integrator's first minutes."""

import json
import re
import subprocess
import sys
from pathlib import Path

from house import Service

GUIDE = Path(__file__).parents[2] / "docs" / "fhir.md"
MARIA = "30000000-0000-4000-8000-000000000001"


def test_the_snippet_gets_a_token_and_follows_the_pages(service: Service, tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    script, client = tmp_path / "pull.py", tmp_path / "ehr-client.json"
    script.write_text(snippet)
    client.write_text(json.dumps(service.ehr.client))
    done = subprocess.run(
        [sys.executable, str(script), str(client), MARIA],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "done"
