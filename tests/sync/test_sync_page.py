"""docs/sync.md says what the door does: its example runs, its tables are complete."""

import re
from pathlib import Path
from typing import Any

import pytest

from service.notes import codes
from service.sync.handlers import HANDLERS
from service.sync.operation import Operation
from tests.demo_house import Town

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sync.md").read_text()


def test_the_example_is_applied_as_it_stands(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER_ID", town["dana"].user_id)
    exec(compile(example, "docs/sync.md", "exec"), {})  # noqa: S102 (our own document)
    headers = {
        "authorization": f"Bearer {town['dana'].token}", "content-type": "application/json",
    }  # fmt: skip
    batch = (tmp_path / "batch.json").read_bytes()
    for replay in (False, True):
        answer = town.web.post("/sync/v1/push", content=batch, headers=headers)
        result = answer.json()["results"][0]
        assert (result["status"], result.get("replay", False)) == ("applied", replay)


def test_every_operation_field_and_word_is_in_the_document() -> None:
    fields = set(Operation.__struct_fields__)
    words: set[Any] = {
        *HANDLERS, *fields, *codes.MODALITIES, *codes.PLACES, *codes.SERVICES, *codes.AGREEMENTS,
        *codes.AUDIENCES, *codes.ATTEMPTS, *codes.MEDIA, *codes.PROGRESS,
    }  # fmt: skip
    missing = {word for word in words if not re.search(rf"\b{re.escape(word)}\b", DOCUMENT)}
    assert not missing
