"""Who may do what: the table of roles and purposes, scopes, and the bases of access."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.permit import (
    Basis,
    Caseload,
    Consented,
    Deny,
    Everyone,
    Nobody,
    Obligation,
    OwnRecord,
    Permit,
    Reason,
    Refusal,
)
from service.access.policy import READS, SIGNING_IN, Subject, decide
from service.access.roles import KNOWN_TYPES, LEDGER, NEVER_DELETED, TABLE
from service.vocabulary import (
    EVERY_SENSITIVITY,
    HOUSE_TYPES,
    PATIENT_TYPES,
    SEPARATE,
    STORED_TYPES,
    WRITES,
    Action,
    Confidentiality,
    Micros,
    PatientId,
    Purpose,
    Relation,
    ResourceId,
    Role,
)

AT = Micros(1_773_324_000_000_000)
PRACTITIONER = ResourceId("11111111-1111-4111-8111-111111111111")
ORGANISATION = ResourceId("22222222-2222-4222-8222-222222222222")
PATIENT = PatientId("33333333-3333-4333-8333-333333333333")


def subject(role: Role, *purposes: Purpose, relation: Relation = Relation.INSIDE) -> Subject:
    return Subject(
        principal="someone",
        role=role,
        relation=relation,
        purposes=purposes,
        organisation=ORGANISATION,
        practitioner=PRACTITIONER,
        patient=PATIENT if role is Role.PARTICIPANT else None,
    )


PEER = subject(Role.PEER, Purpose.TREAT, Purpose.COC)
SUPERVISOR = subject(Role.SUPERVISOR, Purpose.HOPERAT, Purpose.TREAT)
CLINICIAN = subject(Role.CLINICIAN, Purpose.TREAT, Purpose.ETREAT)
MEDICAL = replace(CLINICIAN, purposes=(Purpose.TREAT, Purpose.BTG), medical=True)
COMPLIANCE = subject(Role.COMPLIANCE, Purpose.HCOMPL)
ADMINISTRATOR = subject(Role.ADMINISTRATOR, Purpose.HSYSADMIN)
PARTICIPANT = subject(Role.PARTICIPANT, Purpose.PATRQT)
HOUSE_EHR = subject(Role.EHR, Purpose.TREAT, Purpose.HPAYMT)
OTHER_EHR = subject(Role.EHR, Purpose.TREAT, Purpose.HPAYMT, relation=Relation.OUTSIDE)
CALLERS = {
    "peer": PEER, "supervisor": SUPERVISOR, "clinician": CLINICIAN, "compliance": COMPLIANCE,
    "administrator": ADMINISTRATOR, "participant": PARTICIPANT, "house": HOUSE_EHR,
    "outside": OTHER_EHR,
}  # fmt: skip


def permitted(
    who: Subject,
    action: Action = Action.READ,
    type_: str | None = "Encounter",
    purpose: Purpose | None = None,
) -> Permit:
    answer = decide(who, action, type=type_, purpose=purpose, at=AT)
    assert isinstance(answer, Permit), answer
    return answer


def refused(
    who: Subject | None,
    action: Action = Action.READ,
    type_: str | None = "Encounter",
    purpose: Purpose | None = None,
) -> Reason:
    answer = decide(who, action, type=type_, purpose=purpose, at=AT)
    assert isinstance(answer, Deny), answer
    return answer.reason


# Who reads what: P peer, S supervisor, C clinician, O compliance officer, M administrator,
# Q participant, H EHR of the house, X EHR outside.
LETTERS = dict(zip("PSCOMQHX", CALLERS.values(), strict=True))
READERS = {
    "Patient": "PSCOQHX", "Encounter": "PSCQHX", "DocumentReference": "PSCQHX",
    "Binary": "PSCQHX", "Provenance": "PSCOQHX", "Consent": "PSCOQH", "CareTeam": "PSCQHX",
    "CarePlan": "PSCQHX", "Goal": "PSCQHX", "Condition": "CQHX", "Observation": "PSCQHX",
    "QuestionnaireResponse": "PSCQHX", "ServiceRequest": "PSCQHX", "Task": "PSCO",
    "Flag": "PSCQH", "Communication": "PSCQ", "RelatedPerson": "PSCQHX", "Group": "PS",
    "AuditEvent": "OQ",
} | dict.fromkeys(HOUSE_TYPES, "PSCOMQHX")  # fmt: skip
WRITERS = {
    "Patient": "H", "Encounter": "PCHX", "DocumentReference": "PSCQHX", "Binary": "PCHX",
    "Provenance": "PSCHX", "Consent": "PQH", "CareTeam": "CH", "CarePlan": "CH", "Goal": "PCH",
    "Condition": "CH", "Observation": "PCH", "QuestionnaireResponse": "PCQH",
    "ServiceRequest": "PCH", "Task": "PSCO", "Flag": "PCH", "Communication": "PCQ",
    "RelatedPerson": "H", "Group": "P", "Questionnaire": "M", "AuditEvent": "",
} | dict.fromkeys(HOUSE_TYPES - {"Questionnaire"}, "MH")  # fmt: skip


@pytest.mark.parametrize("type_", sorted(KNOWN_TYPES))
def test_each_type_has_its_readers_and_writers_and_no_others(type_: str) -> None:
    for letter, who in LETTERS.items():
        for action in READS:
            if letter in READERS[type_]:
                assert type_ in permitted(who, action, type_).ceilings
            else:
                assert refused(who, action, type_) is Reason.TYPE_NOT_OF_ROLE
        for action in (Action.CREATE, Action.UPDATE):
            if letter in WRITERS[type_]:
                assert type_ in permitted(who, action, type_).writes
            else:
                assert refused(who, action, type_) is Reason.TYPE_NOT_OF_ROLE


def test_a_type_we_do_not_know_is_refused_before_the_role() -> None:
    for who in CALLERS.values():
        for action in (*READS, Action.CREATE):
            assert refused(who, action, "Claim") is Reason.UNKNOWN_TYPE


@pytest.mark.parametrize(
    ("who", "reach", "basis"),
    [
        ("peer", Caseload(PRACTITIONER), Basis.INSIDE),
        ("supervisor", Caseload(PRACTITIONER, supervises=True), Basis.INSIDE),
        ("clinician", Caseload(PRACTITIONER), Basis.INSIDE),
        ("participant", OwnRecord(PATIENT), Basis.OWN_RECORD),
        ("house", Everyone(), Basis.INSIDE),
        ("outside", Consented(), Basis.CONSENT),
    ],
)
def test_whose_records_and_by_what_right(who: str, reach: object, basis: Basis) -> None:
    permit = permitted(CALLERS[who])
    assert (permit.reach, permit.basis) == (reach, basis)


def test_an_administrator_reaches_nobody() -> None:
    permit = permitted(ADMINISTRATOR, Action.SEARCH, "Practitioner")
    assert permit.reach == Nobody()
    assert permit.ceilings.keys() == HOUSE_TYPES
    assert not permit.ceilings.keys() & PATIENT_TYPES


def test_denials_bind_all_but_the_participant_and_compliance() -> None:
    for name, who in CALLERS.items():
        type_ = "Practitioner"
        assert permitted(who, Action.READ, type_).bound_by_denials is (
            name != "participant" and who.role is not Role.COMPLIANCE
        )


def test_private_passages_show_to_participant_and_author_alone() -> None:
    for name, who in CALLERS.items():
        permit = permitted(who, Action.READ, "Practitioner")
        assert any(c.private for c in permit.ceilings.values()) is (name == "participant")
        assert permit.author == (PRACTITIONER if name in {"peer", "clinician"} else None)
    covering = permitted(SUPERVISOR, purpose=Purpose.TREAT)
    assert covering.author == PRACTITIONER


def test_separate_notes_stay_closed_but_to_a_consent_of_their_own() -> None:
    for name, who in CALLERS.items():
        permit = permitted(who, Action.READ, "Practitioner")
        opened = [x for x, c in permit.ceilings.items() if c.families & SEPARATE]
        assert bool(opened) is (name == "outside")
        for ceiling in permit.ceilings.values():
            assert ceiling.families & EVERY_SENSITIVITY == EVERY_SENSITIVITY
            assert ceiling.conf >= Confidentiality.R


def test_a_disclosure_owes_notice_and_accounting_and_a_use_does_not() -> None:
    both = {Obligation.NOTICE, Obligation.ACCOUNTING}
    for name, who in CALLERS.items():
        permit = permitted(who, Action.READ, "Practitioner")
        assert permit.obligations == (both if name == "outside" else set())


def test_an_outside_system_searches_within_one_patient() -> None:
    for name, who in CALLERS.items():
        if name not in {"administrator", "compliance"}:
            permit = permitted(who, Action.SEARCH)
            assert permit.patient_required is (name == "outside")
    assert not permitted(OTHER_EHR, Action.SEARCH, "Location").patient_required


def test_payment_sees_the_header_and_no_narrative() -> None:
    for who in (HOUSE_EHR, OTHER_EHR):
        permit = permitted(who, purpose=Purpose.HPAYMT)
        assert permit.ceilings.keys() - HOUSE_TYPES == {"Patient", "Encounter"}
        for action in (Action.CREATE, Action.UPDATE):
            assert refused(who, action, purpose=Purpose.HPAYMT) is Reason.TYPE_NOT_OF_ROLE


def test_names_include_class_and_organisation() -> None:
    assert permitted(OTHER_EHR).recipients == (
        "*",
        f"Organization/{ORGANISATION}",
        f"Practitioner/{PRACTITIONER}",
        "class:treating-provider",
        "role:ehr-system",
    )
    assert "class:health-plan" in permitted(OTHER_EHR, purpose=Purpose.HPAYMT).recipients
    assert not any(x.startswith("class:") for x in permitted(PARTICIPANT).recipients)


def test_a_purpose_is_entitled_and_of_the_role() -> None:
    assert permitted(PEER).purpose is Purpose.TREAT  # the first is the default
    assert refused(PEER, purpose=Purpose.ETREAT) is Reason.PURPOSE_NOT_ENTITLED
    greedy = replace(PEER, purposes=tuple(Purpose))
    allowed = {p for p in Purpose if isinstance(decide_read(greedy, p), Permit)}
    assert allowed == {Purpose.TREAT, Purpose.COC}
    assert refused(replace(PEER, purposes=())) is Reason.NO_PURPOSE


def decide_read(who: Subject, purpose: Purpose) -> Permit | Deny:
    return decide(who, Action.READ, type="Practitioner", purpose=purpose, at=AT)


def test_every_role_is_bound_to_its_purposes_whatever_it_is_entitled_to() -> None:
    for who in CALLERS.values():
        for purpose in Purpose:
            greedy = replace(who, purposes=(purpose,), medical=True)
            rows = TABLE[who.role, who.relation]
            expected = any(purpose in row.purposes for row in rows)
            assert isinstance(decide_read(greedy, purpose), Permit) is expected


def test_nobody_signed_in_is_unauthenticated() -> None:
    answer = decide(None, Action.READ, type="Patient", purpose=Purpose.TREAT, at=AT)
    assert answer == Deny(Refusal.UNAUTHENTICATED, Reason.NOBODY)


def test_a_sign_in_without_its_person_or_organisation_reaches_nothing() -> None:
    for who in (PEER, SUPERVISOR, CLINICIAN):
        assert refused(replace(who, practitioner=None)) is Reason.NOBODY
    assert refused(replace(PARTICIPANT, patient=None)) is Reason.NOBODY
    assert refused(replace(OTHER_EHR, organisation=None)) is Reason.NOBODY


@pytest.mark.parametrize("role", [Role.PEER, Role.SUPERVISOR, Role.COMPLIANCE, Role.ADMINISTRATOR])
def test_staff_roles_do_not_exist_outside(role: Role) -> None:
    who = subject(role, *Purpose, relation=Relation.OUTSIDE)
    for purpose in Purpose:
        assert isinstance(decide_read(who, purpose), Deny)


# Break-glass: cases P2-E01, P2-E02; P2-E05 (consent could have been obtained) is the declaration's.


def test_medical_personnel_break_the_glass_for_the_declared_patient() -> None:  # P2-E01
    permit = permitted(MEDICAL, purpose=Purpose.BTG)
    assert permit.basis is Basis.BREAK_GLASS
    assert permit.reach == Everyone()  # the store adds: with a grant of this principal in force
    assert permit.patient_required
    assert permit.bound_by_denials
    assert permit.obligations == {Obligation.EMERGENCY_RECORD}
    assert permit.author is None
    assert not permit.writes
    assert not any(c.private or c.families & SEPARATE for c in permit.ceilings.values())
    assert permitted(MEDICAL, Action.BREAK_GLASS, None).basis is Basis.BREAK_GLASS


def test_an_outside_emergency_is_accounted_without_a_consent_notice() -> None:
    outside = replace(OTHER_EHR, purposes=(Purpose.TREAT, Purpose.BTG), medical=True)
    permit = permitted(outside, purpose=Purpose.BTG)
    assert permit.obligations == {Obligation.EMERGENCY_RECORD, Obligation.ACCOUNTING}
    assert permit.basis is Basis.BREAK_GLASS
    assert not any(c.families & SEPARATE for c in permit.ceilings.values())


def test_without_credential_or_entitlement_the_glass_holds() -> None:  # P2-E02
    assert refused(replace(MEDICAL, medical=False), purpose=Purpose.BTG) is Reason.NOT_MEDICAL
    assert refused(CLINICIAN, purpose=Purpose.BTG) is Reason.PURPOSE_NOT_ENTITLED
    for who in (PEER, SUPERVISOR, COMPLIANCE, ADMINISTRATOR, PARTICIPANT):
        entitled = replace(who, purposes=(Purpose.BTG,), medical=True)
        assert refused(entitled, Action.BREAK_GLASS, None) is Reason.PURPOSE_NOT_OF_ROLE
        assert refused(entitled, purpose=Purpose.BTG) is Reason.PURPOSE_NOT_OF_ROLE


SPECIAL = {
    Action.SYNC_PUSH: {"peer", "supervisor"},
    Action.IMPORT: {"house"},
    Action.AUDIT_SEARCH: {"compliance", "participant"},
    Action.AUDIT_PROOF: {"compliance"},
    Action.ACCOUNTING: {"compliance", "participant"},
}


@pytest.mark.parametrize("action", SPECIAL)
def test_some_acts_belong_to_some_roles(action: Action) -> None:
    for name, who in CALLERS.items():
        answer = decide(who, action, type=None, purpose=None, at=AT)
        assert isinstance(answer, Permit) is (name in SPECIAL[action]), name


def test_signing_in_opens_nothing() -> None:
    for who in CALLERS.values():
        for action in SIGNING_IN:
            permit = permitted(who, action, None)
            assert (permit.ceilings, permit.writes) == ({}, frozenset())


def test_an_act_that_reads_may_write_nothing() -> None:
    for who, action in itertools.product(CALLERS.values(), set(Action) - WRITES):
        answer = decide(who, action, type="Practitioner", purpose=None, at=AT)
        assert isinstance(answer, Deny) or not answer.writes


def test_what_was_signed_is_withdrawn_and_never_deleted() -> None:
    for type_ in NEVER_DELETED:
        for who in CALLERS.values():
            assert refused(who, Action.DELETE, type_) is Reason.NEVER_DELETED
    permit = permitted(HOUSE_EHR, Action.DELETE, "Encounter")
    assert not permit.writes & NEVER_DELETED


def test_an_import_brings_every_stored_type_but_tasks() -> None:
    assert permitted(HOUSE_EHR, Action.IMPORT, None).writes == STORED_TYPES - {"Task"}


def test_the_ledger_and_tasks_are_closed_to_every_ehr() -> None:
    for who, purpose in itertools.product((HOUSE_EHR, OTHER_EHR), Purpose):
        entitled = replace(who, purposes=(purpose,), medical=True)
        for type_ in (LEDGER, "Task"):
            answer = decide(entitled, Action.READ, type=type_, purpose=purpose, at=AT)
            assert isinstance(answer, Deny)


# SMART scopes


def scoped(who: Subject, *scopes: str) -> Subject:
    return replace(who, scopes=scopes)


@pytest.mark.parametrize(
    ("scope", "actions"),
    [
        ("system/Encounter.rs", "read search"),
        ("system/Encounter.r", "read"),
        ("system/Encounter.s", "search"),
        ("system/Encounter.cruds", "create read update delete search"),
        ("system/*.rs", "read search"),
        ("system/Encounter.read", "read search"),
        ("system/*.read", "read search"),
        ("system/Encounter.write", "create update delete"),
        ("system/*.*", "create read update delete search"),
        ("system/Encounter.*", "create read update delete search"),
        ("system/Patient.rs", ""),
        ("user/Encounter.rs", ""),
        ("patient/Encounter.rs", ""),
        ("system/Encounter.sr", ""),
        ("system/Encounter.", ""),
        ("system/Encounter.rs?category=x", ""),
        ("System/Encounter.rs", ""),
        ("openid fhirUser", ""),
    ],
)
def test_a_scope_means_its_letters(scope: str, actions: str) -> None:
    for action in (Action.CREATE, Action.READ, Action.UPDATE, Action.DELETE, Action.SEARCH):
        if action.value in actions.split():
            permitted(scoped(HOUSE_EHR, scope), action)
        else:
            assert refused(scoped(HOUSE_EHR, scope), action) is Reason.NO_SCOPE


def test_scopes_never_add_to_the_role() -> None:
    assert refused(scoped(OTHER_EHR, "system/*.*"), type_="Task") is Reason.TYPE_NOT_OF_ROLE
    assert refused(scoped(PEER, "user/*.*"), type_="Condition") is Reason.TYPE_NOT_OF_ROLE


def test_scopes_narrow_what_a_search_comes_across() -> None:
    permit = permitted(scoped(HOUSE_EHR, "system/Encounter.s", "system/Patient.r"), Action.SEARCH)
    assert permit.ceilings.keys() == {"Encounter", "Patient"}
    everything = permitted(
        scoped(HOUSE_EHR, "system/Encounter.s", "system/Patient.r"), Action.SEARCH, None
    )
    assert everything.ceilings.keys() == {"Encounter"}
    assert refused(scoped(HOUSE_EHR), Action.SEARCH, None) is Reason.NO_SCOPE


def test_a_person_s_scopes_are_of_the_person() -> None:
    permitted(scoped(PEER, "user/Encounter.rs"))
    assert refused(scoped(PEER, "system/*.rs")) is Reason.NO_SCOPE
    permitted(scoped(PARTICIPANT, "patient/*.rs"))
    permitted(scoped(PARTICIPANT, "patient/AuditEvent.s"), Action.AUDIT_SEARCH, None)
    assert (
        refused(scoped(PARTICIPANT, "patient/Encounter.rs"), Action.AUDIT_SEARCH, None)
        is Reason.NO_SCOPE
    )


def test_tablets_and_imports_are_first_party() -> None:
    assert refused(scoped(PEER, "user/*.*"), Action.SYNC_PUSH, None) is Reason.NO_SCOPE
    assert refused(scoped(HOUSE_EHR, "system/*.*"), Action.IMPORT, None) is Reason.NO_SCOPE


callers = st.sampled_from(list(CALLERS.values()))
scopes = st.lists(
    st.builds(
        "{}/{}.{}".format,
        st.sampled_from(["system", "user", "patient"]),
        st.sampled_from(["*", "Encounter", "Patient", "Task", "Consent"]),
        st.sampled_from(["rs", "cruds", "read", "write", "*", "r?x=y"]),
    ),
    max_size=4,
).map(tuple)
types = st.sampled_from([None, *sorted(KNOWN_TYPES), "Claim"])
purposes = st.sampled_from([None, *Purpose])


@given(callers, scopes, st.sampled_from(Action), types, purposes)
def test_removing_a_scope_never_widens(
    who: Subject, held: tuple[str, ...], action: Action, type_: str | None, purpose: Purpose | None
) -> None:
    more = decide(scoped(who, *held), action, type=type_, purpose=purpose, at=AT)
    less = decide(scoped(who, *held[1:]), action, type=type_, purpose=purpose, at=AT)
    first_party = decide(who, action, type=type_, purpose=purpose, at=AT)
    for wide, narrow in ((more, less), (first_party, more)):
        if isinstance(narrow, Permit):
            assert isinstance(wide, Permit)
            assert narrow.ceilings.items() <= wide.ceilings.items()
            assert narrow.writes <= wide.writes
            assert narrow.reach == wide.reach


@given(callers, scopes, st.sampled_from(Action), types, purposes)
def test_a_decision_is_total_and_repeatable(
    who: Subject, held: tuple[str, ...], action: Action, type_: str | None, purpose: Purpose | None
) -> None:
    one, two = (
        decide(scoped(who, *held), action, type=type_, purpose=purpose, at=AT) for _ in range(2)
    )
    assert one == two
    if isinstance(one, Permit):
        assert one.purpose in who.purposes
        assert one.recipients[0] == "*"
        assert all(len(name) <= 80 for name in one.recipients)
