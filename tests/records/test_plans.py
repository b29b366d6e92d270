"""The newest twenty of one participant come off their index, whoever asks: no scan, no sort."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, event, insert, select, text

from service.records import tables
from service.records.view import (
    Caseload,
    Consented,
    Everyone,
    OwnRecord,
    Reach,
)
from service.records.visible import parameters, visible
from service.vocabulary import OPEN_END, OPEN_START, PatientId, ResourceId
from tests.records.conftest import view

PATIENTS, EACH = 60, 120
r = tables.resource.alias("r")


def numbered(number: int) -> str:
    return str(UUID(int=number, version=4))


PATIENT, PEER = numbered(7), numbered(1_000_001)
REACHES: list[Reach] = [
    Everyone(), OwnRecord(PatientId(PATIENT)), Caseload(ResourceId(PEER)),
    Caseload(ResourceId(PEER), supervises=True), Consented(),
]  # fmt: skip


@pytest.fixture
def connection(engine: Engine) -> Any:
    with engine.begin() as connection:
        fill(connection)
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("ANALYZE"))
    with engine.connect() as connection:
        yield connection


def fill(connection: Connection) -> None:
    people = [numbered(n) for n in range(PATIENTS)]
    connection.execute(insert(tables.resource), [
        {
            "patient": patient, "type": "Encounter", "id": numbered(10_000 + n * EACH + m),
            "version": 1, "seq": n * EACH + m, "lo": m * 1000, "hi": m * 1000 + 1, "updated": 0,
            "conf": 4, "families": 2, "audience": "team", "author": PEER, "deleted": False,
        }
        for n, patient in enumerate(people) for m in range(EACH)
    ])  # fmt: skip
    connection.execute(insert(tables.care_edge), [
        {"patient": patient, "practitioner": PEER, "lo": OPEN_START, "hi": OPEN_END,
         "source": numbered(2_000_000 + n)}
        for n, patient in enumerate(people)
    ])  # fmt: skip
    connection.execute(insert(tables.consent_rule), [
        {"patient": patient, "consent": numbered(3_000_000 + n), "number": 0, "effect": "permit",
         "nested": False, "recipient": "*", "purpose": "TREAT", "lo": OPEN_START, "hi": OPEN_END,
         "conf": 5, "families": 2**19 - 1, "data_lo": OPEN_START, "data_hi": OPEN_END,
         "type": "*", "target": None, "target_kind": ""}
        for n, patient in enumerate(people)
    ])  # fmt: skip


@pytest.mark.parametrize("reach", REACHES, ids=str)
def test_the_newest_twenty_come_off_the_index(connection: Connection, reach: Reach) -> None:
    seen = view(10, reach)
    newest = (
        select(r.c.id)
        .where(r.c.patient == PATIENT, r.c.type == "Encounter")
        .where(visible(seen, r, type="Encounter"))
        .order_by(r.c.lo.desc(), r.c.id.desc())
        .limit(20)
    )
    values = parameters(seen, "Encounter")
    assert len(connection.execute(newest, values).all()) == 20
    for plan in explained(connection, newest, values):
        assert "ix_resource_main_date" in plan
        if connection.dialect.name == "sqlite":
            assert "SCAN" not in plan.replace("SCAN json_each", ""), plan
            assert "TEMP B-TREE" not in plan, plan
        else:
            assert "Sort" not in plan, plan
            assert "Seq Scan on resource" not in plan, plan


def explained(connection: Connection, statement: Any, values: dict[str, object]) -> Iterator[str]:
    """The plan of what is really sent; on PostgreSQL for these values, and for any."""
    sent: list[tuple[str, Any]] = []

    def keep(_on: Any, _cursor: Any, sql: str, given: Any, *_more: Any) -> None:
        sent.append((sql, given))

    event.listen(connection, "before_cursor_execute", keep)
    connection.execute(statement, values).close()
    event.remove(connection, "before_cursor_execute", keep)
    [(sql, given)] = sent
    if connection.dialect.name == "sqlite":
        yield plan(connection, f"EXPLAIN QUERY PLAN {sql}", given)
        return
    yield plan(connection, f"EXPLAIN {sql}", given)
    names = list(given)
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", sql)
    yield plan(connection, f"EXPLAIN (GENERIC_PLAN) {numbered}")


def plan(connection: Connection, sql: str, *given: Any) -> str:
    return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(sql, *given))
