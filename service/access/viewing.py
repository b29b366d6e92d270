"""Between the pure rules and the store: the caller as policy sees it, the permit as a View."""

from service.access import policy
from service.access.caller import Caller
from service.records import view
from service.vocabulary import Micros


def subject_of(caller: Caller) -> policy.Subject:
    return policy.Subject(
        principal=caller.principal, role=caller.role, relation=caller.relation,
        organisation=caller.organisation, practitioner=caller.practitioner,
        patient=caller.patient, purposes=caller.purposes, scopes=caller.scopes,
        medical=caller.medical,
    )  # fmt: skip


def view_of(permit: policy.Permit, caller: Caller, at: Micros) -> view.View:
    """What the decision allows, in the store's terms."""
    return view.View(
        at=at,
        principal=caller.principal,
        ceilings={
            type_: view.Ceiling(ceiling.conf, ceiling.families, ceiling.private)
            for type_, ceiling in permit.ceilings.items()
        },
        writes=permit.writes,
        reach=_reach(permit.reach),
        recipients=permit.recipients,
        purpose=permit.purpose,
        author=caller.practitioner or caller.patient,
        bound_by_denials=permit.bound_by_denials,
    )


def _reach(reach: policy.Reach) -> view.Reach:
    match reach:
        case policy.OwnRecord(patient):
            return view.OwnRecord(patient)
        case policy.Caseload(practitioner, supervises):
            return view.Caseload(practitioner, supervises)
        case policy.Everyone():
            return view.Everyone()
        case policy.Consented():
            return view.Consented()
        case policy.Nobody():
            return view.Nobody()
