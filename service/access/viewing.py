"""Between the pure rules and the store: the caller as policy sees it, the permit as a View."""

from typing import Any

from sqlalchemy import Row

from service.access import permit, policy
from service.access.caller import Caller
from service.consent.rule import Rule
from service.records import view
from service.vocabulary import Family


def subject_of(caller: Caller) -> policy.Subject:
    return policy.Subject(
        principal=caller.principal, role=caller.role, relation=caller.relation,
        organisation=caller.organisation, practitioner=caller.practitioner,
        patient=caller.patient, purposes=caller.purposes, scopes=caller.scopes,
        medical=caller.medical,
    )  # fmt: skip


def view_of(allowed: permit.Permit) -> view.View:
    """What the decision allows, in the store's terms."""
    return view.View(
        at=allowed.at,
        principal=allowed.principal,
        ceilings={
            type_: view.Ceiling(ceiling.conf, ceiling.families, ceiling.private)
            for type_, ceiling in allowed.ceilings.items()
        },
        writes=allowed.writes,
        reach=_reach(allowed.reach),
        recipients=allowed.recipients,
        purpose=allowed.purpose,
        author=allowed.author,
        bound_by_denials=allowed.bound_by_denials,
    )


def _reach(reach: permit.Reach) -> view.Reach:
    match reach:
        case permit.OwnRecord(patient):
            return view.OwnRecord(patient)
        case permit.Caseload(practitioner, supervises):
            return view.Caseload(practitioner, supervises)
        case permit.Everyone():
            return view.Everyone()
        case permit.Consented():
            return view.Consented()
        case permit.Nobody():
            return view.Nobody()


def rule_of(row: Row[Any]) -> Rule:
    return Rule(
        effect="permit", nested=row.nested, recipient=row.recipient, purpose=row.purpose,
        lo=row.lo, hi=row.hi, conf=row.conf, families=Family(row.families), data_lo=row.data_lo,
        data_hi=row.data_hi, type=row.type, target=row.target, target_kind=row.target_kind,
    )  # fmt: skip
