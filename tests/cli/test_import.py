"""`peernotes import`: all of an export is stored, once, and what is not is named by its line."""

import gzip
import json
from pathlib import Path

import pytest
from conftest import Load
from export import bundle, condition, encounter, immunization, ndjson, patient, practitioner, uuid
from sqlalchemy import func, select

from service.app import open_house
from service.cli.intake import OPERATOR
from service.records.tables import resource
from service.settings import from_environment
from service.vocabulary import Action

NPI = "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|99"


def stored(environ: dict[str, str], type_: str, number: int) -> dict:
    house = open_house(from_environment(environ))
    try:
        with house.access.operate(Action.READ, OPERATOR, type=type_) as act:
            return json.loads(act.records.read(type_, uuid(number)).body)
    finally:
        house.close()


def total(environ: dict[str, str]) -> int:
    house = open_house(from_environment(environ))
    try:
        with house.access.published() as connection:
            return connection.execute(select(func.count()).select_from(resource)).scalar_one()
    finally:
        house.close()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return tmp_path / "export"


def test_an_export_is_stored_whatever_the_order_of_its_files(loads: Load, export: Path) -> None:
    ndjson(export / "Encounter.ndjson", encounter(2, f"Patient/{uuid(1)}"))
    ndjson(export / "deeper" / "Patient.000.ndjson.gz", patient(1))
    ndjson(export / "aaa.ndjson", condition(3, f"Patient/{uuid(1)}"))
    done = loads(export)
    assert (done.code, done.counts, done.report) == (0, (3, 0, 0), [])


def test_running_it_again_changes_nothing(
    loads: Load, export: Path, environ: dict[str, str]
) -> None:
    ndjson(export / "Patient.ndjson", patient(1), patient(2))
    ndjson(export / "Immunization.ndjson", immunization(3, f"Patient/{uuid(1)}"))
    first, second, third = loads(export), loads(export), loads(export, "--again")
    assert [one.counts for one in (first, second, third)] == [(2, 0, 0), (0, 2, 0), (0, 2, 0)]
    for said in (first.said, second.said, third.said):
        assert "1 Immunization: a type that peernotes does not keep; passed over." in said
    assert stored(environ, "Patient", 1)["meta"]["versionId"] == "1"


def test_a_changed_file_is_read_again_and_only_the_difference_stored(
    loads: Load, export: Path, environ: dict[str, str]
) -> None:
    ndjson(export / "Patient.ndjson", patient(1), patient(2))
    loads(export)
    ndjson(export / "Patient.ndjson", patient(1), patient(2) | {"gender": "female"}, patient(4))
    assert loads(export).counts == (2, 1, 0)
    assert stored(environ, "Patient", 2)["gender"] == "female"


def test_refused_lines_are_named_and_nothing_of_them_is_stored(
    loads: Load, export: Path, environ: dict[str, str]
) -> None:
    subject = f"Patient/{uuid(1)}"
    ndjson(export / "Patient.ndjson", patient(1))
    ndjson(
        export / "Encounter.ndjson",
        encounter(2, subject),
        encounter(3, subject, status="Secret Name"),
        "{not json",
        "",
        encounter(4, f"Patient/{uuid(99)}"),
        encounter(5, subject) | {"id": "no-uuid"},
        encounter(6, subject),
        "[1]",
    )
    done = loads(export)
    assert (done.code, done.counts) == (1, (3, 0, 5))
    assert [tuple(line[:4]) for line in sorted(done.report)] == [
        ("Encounter.ndjson", "2", "code-invalid", "Encounter.status"),
        ("Encounter.ndjson", "3", "structure", ""),
        ("Encounter.ndjson", "5", "not-found", "Encounter.subject"),
        ("Encounter.ndjson", "6", "value", "id"),
        ("Encounter.ndjson", "8", "structure", ""),
    ]
    assert "Secret" not in str(done.report)
    assert total(environ) == 3


def test_refused_lines_are_reported_again_until_they_are_mended(loads: Load, export: Path) -> None:
    ndjson(export / "Patient.ndjson", patient(1))
    ndjson(export / "Encounter.ndjson", encounter(2, f"Patient/{uuid(9)}"))
    first, second = loads(export), loads(export)
    assert (first.counts, second.counts) == ((1, 0, 1), (0, 1, 1))
    assert first.report == second.report != []
    ndjson(export / "more" / "Patient.ndjson", patient(9))
    assert (third := loads(export)).counts == (2, 1, 0)
    assert third.code == 0


def test_references_to_later_lines_load(loads: Load, export: Path) -> None:
    subject = f"Patient/{uuid(1)}"
    chain = [
        encounter(n, subject, partOf={"reference": f"Encounter/{uuid(n + 1)}"})
        for n in range(10, 15)
    ]
    ndjson(export / "Patient.ndjson", patient(1))
    ndjson(export / "Encounter.ndjson", *chain, encounter(15, subject))
    assert loads(export).counts == (7, 0, 0)


def test_a_reference_by_search_becomes_literal(
    loads: Load, export: Path, environ: dict[str, str]
) -> None:
    def by(query: str) -> dict:
        return {"participant": [{"individual": {"reference": query, "display": "Dr Example"}}]}

    ndjson(export / "Practitioner.ndjson", practitioner(7), practitioner(8),
           practitioner(9) | {"identifier": practitioner(8)["identifier"]})  # fmt: skip
    ndjson(export / "Patient.ndjson", patient(1))
    ndjson(
        export / "Encounter.ndjson",
        encounter(2, f"Patient/{uuid(1)}", **by(f"{NPI}7")),
        encounter(3, f"Patient/{uuid(1)}", **by(f"{NPI}8")),
        encounter(4, f"Patient/{uuid(1)}", **by(f"{NPI}0")),
        encounter(5, "Patient?identifier=urn:example:mrn|M1"),
    )
    done = loads(export)
    assert done.counts == (6, 0, 2)
    place = "Encounter.participant[0].individual.reference"
    assert [line[1:4] for line in done.report] == [
        ["2", "multiple-matches", place], ["3", "not-found", place],
    ]  # fmt: skip
    individual = stored(environ, "Encounter", 2)["participant"][0]["individual"]
    assert individual == {"reference": f"Practitioner/{uuid(7)}", "display": "Dr Example"}
    assert stored(environ, "Encounter", 5)["subject"]["reference"] == f"Patient/{uuid(1)}"


def test_a_bundle_loads_with_its_own_names(
    loads: Load, export: Path, environ: dict[str, str]
) -> None:
    urn = f"urn:uuid:{uuid(1)}"
    note = {
        "resourceType": "DocumentReference",
        "id": uuid(3),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": urn}],
        "status": "current",
        "type": {"text": "Example"},
        "subject": {"reference": urn},
        "context": {"encounter": [{"reference": "https://ehr.example/fhir/Encounter/2"}]},
        "content": [{"attachment": {"contentType": "text/plain", "data": "bm90ZQ=="}}],
    }
    anonymous = encounter(2, urn)
    del anonymous["id"]
    bundle(export / "a.json", (f"urn:uuid:{uuid(3)}", note), (f"urn:uuid:{uuid(2)}", anonymous),
           (urn, patient(1)))  # fmt: skip
    assert loads(export).counts == (3, 0, 0)
    assert loads(export, "--again").counts == (0, 3, 0)
    kept = stored(environ, "DocumentReference", 3)
    assert kept["subject"]["reference"] == f"Patient/{uuid(1)}"
    assert kept["identifier"][0]["value"] == urn  # a name of its own, not a reference
    assert (
        kept["context"]["encounter"][0]["reference"] == note["context"]["encounter"][0]["reference"]
    )
    assert stored(environ, "Encounter", 2)["subject"]["reference"] == f"Patient/{uuid(1)}"


def test_odd_files_are_reported_and_the_others_loaded(loads: Load, export: Path) -> None:
    ndjson(export / "Patient.ndjson", patient(1))
    whole = gzip.compress(b"".join(json.dumps(encounter(n, f"Patient/{uuid(1)}")).encode() + b"\n"
                                   for n in range(2, 1000)))  # fmt: skip
    (export / "Encounter.ndjson.gz").write_bytes(whole[: len(whole) // 2])
    (export / "Condition.ndjson.gz").write_bytes(b"no gzip at all")
    (export / "list.json").write_text("[]")
    (export / "strange.json").write_text('{"resourceType": "Bundle", "entry": 1}')
    (export / "single.json").write_text(json.dumps(patient(1000)))
    done = loads(export)
    assert done.code == 1
    assert [line[:3] for line in done.report] == [
        ["Encounter.ndjson.gz", "0", "incomplete"], ["Condition.ndjson.gz", "0", "incomplete"],
        ["list.json", "0", "incomplete"], ["strange.json", "0", "incomplete"],
    ]  # fmt: skip
    assert done.counts[0] >= 2
    (export / "Encounter.ndjson.gz").write_bytes(whole)
    assert sum(loads(export).counts[:2]) == 1000


def test_a_consent_of_another_content_is_not_overwritten(loads: Load, export: Path) -> None:
    team = {
        "resourceType": "CareTeam",
        "id": uuid(2),
        "status": "active",
        "subject": {"reference": f"Patient/{uuid(1)}"},
    }
    ndjson(export / "Patient.ndjson", patient(1))
    ndjson(export / "CareTeam.ndjson", team)
    loads(export)
    ndjson(export / "CareTeam.ndjson", team | {"status": "inactive"})
    done = loads(export)
    assert done.counts == (0, 1, 1)
    assert "an import does not" in done.report[0][4]


def test_another_database_is_not_taken_for_loaded(
    loads: Load, export: Path, environ: dict[str, str], lite: dict[str, str]
) -> None:
    ndjson(export / "Patient.ndjson", patient(1))
    assert loads(export).counts == (1, 0, 0)
    folder = Path(environ["PEERNOTES_DATA_DIR"])
    (elsewhere := {**lite})["PEERNOTES_DATA_DIR"] = str(folder)
    elsewhere["PEERNOTES_DATABASE_URL"] = f"sqlite:///{folder}/other/new.db"
    elsewhere["PEERNOTES_KEYRING"] = str(folder / "other-keys" / "keyring.json")
    elsewhere["PEERNOTES_NOTARY_DIR"] = str(folder / "other-notary")
    environ.clear()
    environ.update(elsewhere)
    assert loads(export).counts == (1, 0, 0)


@pytest.mark.parametrize("missing", ["absent", "empty"])
def test_a_directory_without_an_export_is_refused(
    loads: Load, export: Path, missing: str, environ: dict[str, str]
) -> None:
    if missing == "empty":
        export.mkdir()
    with pytest.raises(ValueError, match=r"export|holds no"):
        loads(export)
    assert not Path(environ["PEERNOTES_DATA_DIR"]).exists()


def test_ten_synthetic_people_load_completely(loads: Load, data: Path) -> None:
    first = loads(data / "synthea" / "ten")
    assert (first.code, first.counts) == (0, (3171, 0, 0))
    assert "161 Immunization" in first.said
    assert loads(data / "synthea" / "ten").counts == (0, 3171, 0)
