"""Between the pure rules and the store: the caller as policy sees it, the permit as a View."""

from service.access import permit, policy
from service.access.caller import Caller
from service.records import view


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
