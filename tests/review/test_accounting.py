"""Accounting of disclosures: three reports, JSON and CSV, of one's own record or by compliance."""

import csv
import io

import pytest

from service.cli.demo_data import CLINIC, MARIA
from service.cli.people import fresh
from service.review import accounting as door
from tests.demo_house import TERRENCE, Town
from tests.review.acts import accounting, accounting_csv, declare, entries, pull
from tests.sync.operations import one, session


@pytest.fixture(scope="module", autouse=True)
def life(town: Town) -> None:
    one(town["dana"], session(town["dana"]))
    assert pull(town).json()["entry"]


def test_a_disclosure_says_when_to_whom_what_why_and_by_what_right(town: Town) -> None:
    row = accounting(town)[0]
    assert row["recipient"] == f"Organization/{CLINIC}"
    assert row["recipient_name"] == "Lakeside Clinic"
    assert row["recipient_address"] == "1 Main Street, Springfield, NC, 28000"
    assert "Encounter" in row["what"]
    assert (row["purpose"], row["basis"].split(":")[0]) == ("TREAT", "consent")
    assert any(each.startswith("Encounter/") for each in row["records"])
    assert [each["kind"] for each in entries(town, patient=MARIA) if each["id"] == row["entry"]]


def test_csv_says_the_same(town: Town) -> None:
    told, rows = accounting(town), accounting_csv(town)
    assert [row["entry"] for row in rows] == [row["entry"] for row in told]
    assert rows[0]["recipient_name"] == "Lakeside Clinic"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_starts_a_formula(first: str) -> None:
    row = dict.fromkeys(door.COLUMNS, "") | {"recipient_name": first + "HYPERLINK(1)"}
    answer = door._csv(door.Accounting(MARIA, "all", "", "", (row,)))
    (told,) = csv.DictReader(io.StringIO(bytes(answer.body).decode(), newline=""))
    assert told["recipient_name"] == "'" + first + "HYPERLINK(1)"


def test_a_name_that_is_a_formula_does_not_run_at_the_officers_desk(town: Town) -> None:
    clinic = town.get("casey", f"/fhir/Organization/{CLINIC}").json()
    town.store(clinic | {"name": '=HYPERLINK("https://example.org")'})
    try:
        assert accounting_csv(town)[0]["recipient_name"].startswith("'=")
    finally:
        town.store(clinic)


def test_a_participant_has_their_own_and_no_others(town: Town) -> None:
    assert accounting(town, MARIA, "maria") == accounting(town)
    hidden = town["maria"].get(f"/review/accounting/{TERRENCE}")
    nobody = town["maria"].get(f"/review/accounting/{fresh()}")
    assert (hidden.status_code, hidden.content) == (403, nobody.content)
    assert accounting(town, TERRENCE, "terrence") == []


def test_asking_is_in_the_log_with_the_participant(town: Town) -> None:
    accounting(town)
    newest = entries(town, agent=town["casey"].user_id, action="accounting", patient=MARIA)
    assert newest
    assert newest[0]["outcome"] == 0


def test_the_three_reports_differ_as_their_rules_do(town: Town) -> None:
    assert declare(town, "doctor", MARIA).status_code == 200
    btg = {"headers": {"x-purpose-of-use": "BTG"}, "params": {"patient": MARIA}}
    assert town.get("doctor", "/fhir/Encounter", **btg).json()["entry"]
    everything = {row["basis"].split(":")[0] for row in accounting(town)}
    assert everything == {"consent", "break-glass"}
    consented = {row["basis"].split(":")[0] for row in accounting(town, report="2.25")}
    assert consented == {"consent"}
    others = {row["basis"].split(":")[0] for row in accounting(town, report="164.528")}
    assert others == {"break-glass"}


@pytest.mark.parametrize(
    "asked",
    [{"report": "164.999"}, {"since": "1999-01-01"}, {"report": "2.25", "since": "2022-01-01"},
     {"until": "later"}, {"sort": "date"}],
)  # fmt: skip
def test_what_the_rules_do_not_give_is_refused(town: Town, asked: dict[str, str]) -> None:
    assert town["casey"].get(f"/review/accounting/{MARIA}", params=asked).status_code == 400


def test_a_participant_is_named_by_id(town: Town) -> None:
    answer = town["casey"].get("/review/accounting/Maria%20Santos")
    assert answer.status_code == 400
    assert "Santos" not in answer.text
