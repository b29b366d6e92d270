"""Who cares for whom: CareTeams compiled into care_edge, and who supervises which peer.

An edge is one active member of one active team over [lo, hi). It is rewritten with its CareTeam,
so `visible()` follows a team at once, and follows the end of a period with no job at all.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from service.database.metadata import GUID
from service.errors import Invalid
from service.records.anchor import local
from service.records.tables import care_edge, ix_reference, supervision
from service.records.values import dates
from service.vocabulary import HOUSE, OPEN_END, OPEN_START, Micros, PatientId

Json = Mapping[str, object]

REMOVE = delete(care_edge).where(care_edge.c.source == bindparam("team", type_=GUID))
ROLES = select(ix_reference.c.id, ix_reference.c.target_id).where(
    ix_reference.c.patient == HOUSE,
    ix_reference.c.type == "PractitionerRole",
    ix_reference.c.param == "practitioner",
    ix_reference.c.target_type == "Practitioner",
    ix_reference.c.id.in_(bindparam("roles", type_=GUID, expanding=True)),
)


class Member(NamedTuple):
    """Somebody on a team: a Practitioner, or the PractitionerRole they are named by."""

    type: str
    id: str
    lo: int
    hi: int


def members(team: Json, zone: tzinfo) -> Iterator[Member]:
    """The staff of an active team, each for as long as both the team and the member last."""
    if team.get("status") != "active":
        return
    start, end = _period(team, zone)
    for one in _each(team.get("participant")):
        who = one.get("member")
        reference = who.get("reference") if isinstance(who, Mapping) else None
        link = local(reference, "CareTeam") if isinstance(reference, str) else None
        if link is None or link.type not in ("Practitioner", "PractitionerRole"):
            continue
        lo, hi = _period(one, zone)
        lo, hi = max(lo, start), min(hi, end)
        if lo < hi:
            yield Member(link.type, link.id, lo, hi)


def replace(connection: Connection, patient: PatientId, team: str, staff: Iterable[Member]) -> None:
    """These members are now all the edges that come from this team."""
    connection.execute(REMOVE, {"team": team})
    found = list(staff)
    roles = {one.id for one in found if one.type == "PractitionerRole"}
    holders: dict[str, str] = {}
    if roles:
        holders = {row.id: row.target_id for row in connection.execute(ROLES, {"roles": roles})}
    longest: dict[tuple[str, int], int] = {}
    for one in found:
        practitioner = one.id if one.type == "Practitioner" else holders.get(one.id)
        if practitioner:
            key = (practitioner, one.lo)
            longest[key] = max(longest.get(key, one.hi), one.hi)
    if longest:
        connection.execute(insert(care_edge), [
            {"patient": patient, "practitioner": practitioner, "lo": lo, "hi": hi, "source": team}
            for (practitioner, lo), hi in longest.items()
        ])  # fmt: skip


def supervise(
    connection: Connection, supervisor: str, peer: str, lo: Micros, hi: Micros = OPEN_END
) -> None:
    """From `lo`, until `hi`, this supervisor sees what this peer's caseload is."""
    if supervisor == peer or lo >= hi:
        raise Invalid("Nobody supervises themselves, and a period has a length.")
    release(connection, supervisor, peer, lo)
    connection.execute(
        insert(supervision), {"supervisor": supervisor, "peer": peer, "lo": lo, "hi": hi}
    )


def release(connection: Connection, supervisor: str, peer: str, at: Micros) -> None:
    """End what is in force at `at`, and what has not begun by then."""
    pair = (supervision.c.supervisor == supervisor) & (supervision.c.peer == peer)
    connection.execute(delete(supervision).where(pair, supervision.c.lo >= at))
    connection.execute(supervision.update().where(pair, supervision.c.hi > at).values(hi=at))


def _period(holder: Json, zone: tzinfo) -> tuple[int, int]:
    period = holder.get("period")
    return dates(period, zone) or (OPEN_START, OPEN_END)


def _each(value: object) -> Iterator[Json]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, Mapping):
            yield one
