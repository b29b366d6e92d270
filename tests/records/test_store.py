"""The store keeps every version, answers a replay alike, and shows nobody what they may not see."""

import json
import threading
from dataclasses import replace

import pytest
from sqlalchemy import update

from service.errors import (
    Absent,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Malformed,
    SealBroken,
    StaleVersion,
)
from service.records.labels import Labels
from service.records.tables import ix_reference, ix_token, resource, resource_version
from service.records.view import Ceiling
from service.vocabulary import CONFIDENTIALITY, Audience, Confidentiality, Family
from tests.records.conftest import (
    ALL,
    NORMAL,
    Store,
    caseload,
    encounter,
    entry,
    make,
    new_id,
    note,
    patient,
    practitioner,
    team,
    view,
)


@pytest.fixture
def subject(store: Store) -> str:
    return store.put(patient())


def test_what_was_stored_is_read_as_it_was_sent(store: Store, subject: str) -> None:
    sent = encounter(subject)
    store.put(sent)
    with store.reading() as records:
        stored = records.read("Encounter", sent["id"])
    read = json.loads(stored.body)
    assert read.pop("meta") == {"versionId": "1", "lastUpdated": "2026-03-12T14:00:00.000000Z"}
    assert read == sent
    assert [(one.type, one.id, one.version) for one in records.touched] == [
        ("Encounter", sent["id"], 1)
    ]


def test_an_update_makes_the_next_version_and_the_first_remains(store: Store, subject: str) -> None:
    first = encounter(subject)
    store.put(first)
    with store.act() as records:
        written = records.update(first | {"status": "cancelled"}, entry=entry(), if_match=1)
    assert (written.stored.version, written.created, written.changed) == (2, False, True)
    with store.reading() as records:
        assert json.loads(records.read("Encounter", first["id"]).body)["status"] == "cancelled"
        old = records.vread("Encounter", first["id"], 1)
        assert json.loads(old.body)["status"] == "finished"
        versions = records.history("Encounter", first["id"], 10)
        assert [one.version for one in versions] == [2, 1]
        assert [v.version for v in records.history("Encounter", first["id"], 10, before=2)] == [1]


def test_the_same_bytes_make_no_new_version(store: Store, subject: str) -> None:
    sent = encounter(subject)
    store.put(sent)
    store.clock.advance(60)
    with store.act() as records:
        again = records.update(sent, entry=entry())
    assert (again.changed, again.stored.version) == (False, 1)


def test_a_replayed_create_answers_as_the_first_did(store: Store, subject: str) -> None:
    sent = encounter(subject)
    with store.act() as records:
        first = records.create(sent, entry=entry(), id=sent["id"])
    store.clock.advance(60)
    with store.act() as records:
        again = records.create(sent, entry=entry(), id=sent["id"])
    assert again.stored == first.stored
    assert (again.created, again.changed) == (True, False)


def test_a_replay_after_an_update_still_answers_as_the_first_did(
    store: Store, subject: str
) -> None:
    sent = encounter(subject)
    store.put(sent)
    with store.act() as records:
        records.update(sent | {"status": "cancelled"}, entry=entry())
    with store.act() as records:
        assert records.create(sent, entry=entry(), id=sent["id"]).stored.version == 1


def test_the_same_id_with_other_bytes_is_a_conflict(store: Store, subject: str) -> None:
    sent = encounter(subject)
    store.put(sent)
    with store.act() as records, pytest.raises(Conflict):
        records.create(sent | {"status": "planned"}, entry=entry(), id=sent["id"])


def test_an_update_creates_under_the_clients_own_id(store: Store, subject: str) -> None:
    sent = encounter(subject)
    with store.act() as records:
        written = records.update(sent, entry=entry())
    assert (written.created, written.stored.id, written.stored.version) == (True, sent["id"], 1)


RIGHT = "7ebe686c-aebc-4811-ba26-5af97a2e5f92"


@pytest.mark.parametrize("wrong", ["1", "A" * 36, RIGHT.upper(), f"{RIGHT}\n", ""])
def test_an_id_is_a_lower_case_uuid(store: Store, subject: str, wrong: str) -> None:
    with store.act() as records, pytest.raises(Malformed):
        records.update(encounter(subject) | {"id": wrong}, entry=entry())
    with store.reading() as records, pytest.raises(Absent):
        records.read("Encounter", wrong)


def test_if_match_holds_and_a_stale_one_writes_nothing(store: Store, subject: str) -> None:
    sent = encounter(subject)
    store.put(sent)
    with store.act() as records:
        records.update(sent | {"status": "planned"}, entry=entry(), if_match=1)
    with store.act() as records, pytest.raises(StaleVersion):
        records.update(sent | {"status": "cancelled"}, entry=entry(), if_match=1)
    with store.act() as records, pytest.raises(StaleVersion):
        records.delete("Encounter", sent["id"], entry=entry(), if_match=1)
    with store.act() as records, pytest.raises(StaleVersion):
        records.update(encounter(subject), entry=entry(), if_match=1)


def test_a_replayed_update_with_its_old_if_match_changes_nothing(
    store: Store, subject: str
) -> None:
    sent = encounter(subject)
    store.put(sent)
    for _ in range(2):
        with store.act() as records:
            written = records.update(sent | {"status": "planned"}, entry=entry(), if_match=1)
        assert written.stored.version == 2


def test_a_careteam_is_not_overwritten_blindly(store: Store, subject: str) -> None:
    sent = team(subject)
    store.put(sent)
    with store.act() as records, pytest.raises(Malformed):
        records.update(sent | {"name": "Days"}, entry=entry())


def test_two_writers_at_once_never_lose_an_update(store: Store, subject: str) -> None:
    sent = encounter(subject)
    store.put(sent)
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def write(status: str) -> None:
        start.wait()
        for _ in range(20):
            try:
                with store.act() as records:
                    now = records.read("Encounter", sent["id"])
                    records.update(
                        json.loads(now.body) | {"status": status, "length": {
                            "value": now.version + 1, "unit": "min"}},
                        entry=entry(), if_match=now.version,
                    )  # fmt: skip
                outcomes.append("written")
            except StaleVersion:
                outcomes.append("stale")

    threads = [threading.Thread(target=write, args=(one,)) for one in ("planned", "arrived")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(outcomes) == 40
    with store.reading() as records:
        versions = records.history("Encounter", sent["id"], 100)
    assert len(versions) == outcomes.count("written") + 1
    for one in versions[:-1]:  # each was written on top of the one before it, and of no other
        assert json.loads(one.body)["length"]["value"] == one.version


def test_deleted_is_gone_to_those_who_saw_it(store: Store, subject: str) -> None:
    sent = encounter(subject)
    store.put(sent)
    with store.act() as records:
        assert records.delete("Encounter", sent["id"], entry=entry()).stored.version == 2
    with store.act() as records:
        assert not records.delete("Encounter", sent["id"], entry=entry()).changed
    with store.reading() as records:
        with pytest.raises(Gone):
            records.read("Encounter", sent["id"])
        with pytest.raises(Gone):
            records.vread("Encounter", sent["id"], 2)
        assert records.vread("Encounter", sent["id"], 1).body
        assert [one.deleted for one in records.history("Encounter", sent["id"], 9)] == [True, False]
    with store.reading(view(store.clock(), caseload(new_id()))) as records:
        with pytest.raises(Absent):
            records.read("Encounter", sent["id"])
        with pytest.raises(Absent):
            records.history("Encounter", sent["id"], 9)


def test_what_was_deleted_can_be_brought_back(store: Store, subject: str) -> None:
    sent = encounter(subject)
    store.put(sent)
    with store.act() as records:
        records.delete("Encounter", sent["id"], entry=entry())
        assert records.update(sent, entry=entry()).stored.version == 3
    with store.reading() as records:
        assert records.read("Encounter", sent["id"]).version == 3


def test_search_rows_follow_the_current_version(store: Store, subject: str) -> None:
    by = store.put(practitioner())
    sent = encounter(subject, by=by)
    store.put(sent)

    def links() -> set[tuple[str, str]]:
        with store.opener.read() as connection:
            return {
                (row.target_type, row.target_id)
                for row in connection.execute(
                    ix_reference.select().where(ix_reference.c.id == sent["id"])
                )
            }

    assert links() == {("Patient", subject), ("Practitioner", by)}
    with store.act() as records:
        records.update({k: v for k, v in sent.items() if k != "participant"}, entry=entry())
    assert links() == {("Patient", subject)}
    with store.act() as records:
        records.delete("Encounter", sent["id"], entry=entry())
    assert links() == {("Patient", subject)}
    with store.opener.read() as connection:
        assert not connection.execute(ix_token.select().where(ix_token.c.id == sent["id"])).all()


def test_a_reference_to_nothing_is_named_by_its_path(store: Store, subject: str) -> None:
    sent = encounter(subject, by=new_id())
    with store.act() as records, pytest.raises(Invalid) as caught:
        records.create(sent, entry=entry())
    assert [one.expression for one in caught.value.issues] == [
        "Encounter.participant[0].individual"
    ]


def test_a_hidden_reference_answers_as_an_absent_one(store: Store, subject: str) -> None:
    other = store.put(patient())
    hidden = store.put(encounter(other))
    peer = store.put(practitioner())
    store.put(team(subject, peer))
    seen = view(store.clock(), caseload(peer))
    answers = []
    for target in (hidden, new_id()):
        with store.act(seen) as records, pytest.raises(Invalid) as caught:
            records.create(note(subject, target), entry=entry())
        answers.append((str(caught.value), caught.value.issues))
    assert answers[0] == answers[1]


def test_nothing_refers_to_another_participants_records(store: Store, subject: str) -> None:
    theirs = store.put(encounter(store.put(patient())))
    with store.act() as records, pytest.raises(Invalid):
        records.create(note(subject, theirs), entry=entry())


def test_a_record_never_moves_to_another_participant(store: Store, subject: str) -> None:
    sent = encounter(subject)
    store.put(sent)
    other = store.put(patient())
    with store.act() as records, pytest.raises(Invalid):
        records.update(
            sent | {"subject": {"reference": f"Patient/{other}"}}, entry=entry(), if_match=1
        )


def test_a_writer_reaches_only_their_own_caseload(store: Store, subject: str) -> None:
    seen = view(store.clock(), caseload(store.put(practitioner())))
    with store.act(seen) as records, pytest.raises(Invalid):
        records.create(encounter(subject), entry=entry())


def test_hidden_records_are_neither_updated_nor_deleted(store: Store, subject: str) -> None:
    peer = store.put(practitioner())
    sent = encounter(subject)
    store.put(sent)
    theirs = store.put(patient(), view(store.clock(), caseload(peer)))
    seen = view(store.clock(), caseload(peer))
    with store.act(seen) as records, pytest.raises(Absent):
        records.update(encounter(theirs, sent["id"]), entry=entry())
    with store.act(seen) as records, pytest.raises(Absent):
        records.delete("Encounter", sent["id"], entry=entry())
    with store.act(seen) as records, pytest.raises(Conflict):
        records.create(encounter(theirs), entry=entry(), id=sent["id"])


def test_a_type_that_is_not_writable_is_forbidden(store: Store, subject: str) -> None:
    seen = view(store.clock(), writes=frozenset())
    with store.act(seen) as records, pytest.raises(Forbidden):
        records.create(encounter(subject), entry=entry())
    with store.act(seen) as records, pytest.raises(Forbidden):
        records.delete("Encounter", new_id(), entry=entry())


def test_staff_see_whom_they_took_in_for_a_day(store: Store) -> None:
    peer = store.put(practitioner())
    mine = store.put(patient(), view(store.clock(), caseload(peer)))
    with store.reading(view(store.clock(), caseload(peer))) as records:
        assert records.read("Patient", mine)
    store.clock.advance(24 * 3600)
    with store.reading(view(store.clock(), caseload(peer))) as records, pytest.raises(Absent):
        records.read("Patient", mine)


def test_provenance_lies_with_its_target(store: Store, subject: str) -> None:
    by = store.put(practitioner())
    about = store.put(encounter(subject))
    sent = {
        "resourceType": "Provenance",
        "id": new_id(),
        "target": [{"reference": f"Encounter/{about}"}],
        "recorded": "2026-03-10T18:30:00Z",
        "agent": [{"who": {"reference": f"Practitioner/{by}"}}],
    }
    with store.act() as records:
        assert records.create(sent, entry=entry()).stored.patient == subject


def test_binary_lies_with_its_security_context(store: Store, subject: str) -> None:
    about = store.put(note(subject, store.put(encounter(subject))))
    sent = {
        "resourceType": "Binary",
        "contentType": "text/plain",
        "securityContext": {"reference": f"DocumentReference/{about}"},
        "data": "Ym95",
    }
    with store.act() as records:
        assert records.create(sent, entry=entry()).stored.patient == subject
    with store.act() as records, pytest.raises(Invalid):
        records.create({k: v for k, v in sent.items() if k != "securityContext"}, entry=entry())


def test_bodies_swapped_in_the_database_do_not_open(store: Store, subject: str) -> None:
    mine, other = store.put(encounter(subject)), store.put(encounter(subject))
    with store.opener.write() as connection:
        body = (
            connection.execute(resource_version.select().where(resource_version.c.id == other))
            .one()
            .body
        )
        connection.execute(
            update(resource_version).where(resource_version.c.id == mine).values(body=body)
        )
    with store.reading() as records, pytest.raises(SealBroken):
        records.read("Encounter", mine)


def test_a_row_given_to_another_participant_does_not_open(store: Store, subject: str) -> None:
    other, mine = store.put(patient()), store.put(encounter(subject))
    with store.opener.write() as connection:
        for table in (resource, resource_version):
            connection.execute(update(table).where(table.c.id == mine).values(patient=other))
    with store.reading() as records, pytest.raises(SealBroken):
        records.read("Encounter", mine)


def test_what_a_savepoint_undid_cannot_be_referred_to(store: Store, subject: str) -> None:
    with store.act() as records:
        savepoint = records._connection.begin_nested()
        undone = make(records, encounter(subject))
        savepoint.rollback()
        with pytest.raises(Invalid):
            records.create(note(subject, undone), entry=entry())


def test_a_consent_is_stored_with_its_rules_or_not_at_all(store: Store, subject: str) -> None:
    consent = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{subject}"},
        "policyRule": {"coding": [{"code": "OPTIN"}]},
    }
    with store.act() as records, pytest.raises(ValueError, match="rules"):
        records.create(consent, entry=entry())


def test_labels_once_given_only_rise(store: Store, subject: str) -> None:
    secret = {"meta": {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}}
    sent = encounter(subject) | secret
    low = Labels(Confidentiality.N, Family(0), Audience.TEAM)
    store.put(sent, labels=Labels(Confidentiality.R, Family.SUD, Audience.TEAM))
    with store.act() as records:
        records.update(sent | {"status": "planned"}, entry=entry(), labels=low)
        records.delete("Encounter", sent["id"], entry=entry())
        records.update(sent | {"status": "planned"}, entry=entry(), labels=low)
    with store.opener.read() as connection:
        row = connection.execute(resource.select().where(resource.c.id == sent["id"])).one()
    assert (row.conf, row.families) == (Confidentiality.R, Family.SUD)


def test_what_nobody_had_labelled_can_be_labelled_lower(store: Store, subject: str) -> None:
    sent = encounter(subject)
    with store.act() as records:
        records.create(sent, entry=entry(), id=sent["id"])  # unlabelled: R and everything
        records.update(sent | {"status": "planned"}, entry=entry(), labels=NORMAL)
    with store.opener.read() as connection:
        row = connection.execute(resource.select().where(resource.c.id == sent["id"])).one()
    assert (row.conf, row.families) == (Confidentiality.N, 0)


def test_provenance_of_a_private_passage_is_as_private(store: Store, subject: str) -> None:
    peer = store.put(practitioner())
    store.put(team(subject, peer))
    about = store.put(encounter(subject), labels=replace(NORMAL, audience=Audience.PRIVATE))
    sent = {
        "resourceType": "Provenance",
        "target": [{"reference": f"Encounter/{about}"}],
        "recorded": "2026-03-10T18:30:00Z",
        "agent": [{"who": {"reference": f"Practitioner/{peer}"}}],
    }
    made = store.put(sent)
    plain = {name: Ceiling() for name in ALL}
    with store.reading(view(store.clock(), caseload(peer), ceilings=plain)) as records:
        with pytest.raises(Absent):
            records.read("Provenance", made)
        assert records.read("Patient", subject)
