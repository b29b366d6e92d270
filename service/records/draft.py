"""What stands between a submitted resource and its row: whose it is, its labels, its search rows.

A resource's references are resolved as its writer sees them. It belongs to one participant, and
refers to nobody else's records (but Patient.link). Labels only rise from version to version,
until somebody has labelled it; Binary and Provenance are as hidden as what they belong to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from sqlalchemy import Row

from service.keys.blind import Blind
from service.records.anchor import Link, anchors, links
from service.records.document import parse
from service.records.extract import IndexRows, extract
from service.records.labels import UNLABELLED, Labels, effective
from service.records.targets import References, Target, mixed, owner
from service.records.validate import validate
from service.vocabulary import (
    HOUSE,
    HOUSE_TYPES,
    Audience,
    Confidentiality,
    Family,
    PatientId,
    ResourceId,
)

Json = dict[str, Any]

INHERITS = frozenset({"Binary", "Provenance"})
ELSEWHERE = "*"
"""ix_reference.param of references that no search parameter names; consent's targets need them."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource found fit to be stored."""

    resource: Json
    type: str
    id: ResourceId
    patient: PatientId
    labels: Labels
    author: str | None
    links: tuple[Link, ...]


def draft(
    resource: Json, type: str, id: ResourceId, *,
    labels: Labels | None, author: str | None, references: References,
) -> Draft:  # fmt: skip
    """Validated, its references resolved, its participant known; or Malformed, or Invalid."""
    validate(resource)
    named = tuple(link for link in links(resource, type) if link[:2] != (type, id))
    belongs = anchors(resource, type)
    references.resolve((*named, *belongs))
    patient = _patient(type, id, belongs, references)
    for link in named if type != "Patient" else ():
        if references[link].patient not in (patient, HOUSE):
            raise mixed(link.expression)
    labels = labels or effective(resource)
    for link in belongs if type in INHERITS else ():
        target = references[link]
        labels = raised(labels, target.labels)
        if target.labels.audience is Audience.PRIVATE:
            author = target.author
    return Draft(resource, type, id, patient, labels, author, named)


def _patient(
    type_: str, id_: ResourceId, belongs: tuple[Link, ...], references: References
) -> PatientId:
    if type_ == "Patient":
        return PatientId(id_)
    if type_ in HOUSE_TYPES:
        return HOUSE
    return owner([(link, references[link]) for link in belongs])


def raised(labels: Labels, floor: Labels) -> Labels:
    """At least as strict as both."""
    private = Audience.PRIVATE in (labels.audience, floor.audience)
    return Labels(
        Confidentiality(max(labels.conf, floor.conf)),
        labels.families | floor.families,
        Audience.PRIVATE if private else Audience.TEAM,
    )


def kept(labels: Labels, before: Row[Any], body: bytes) -> Labels:
    """A later version's labels: never below the earlier one's, if somebody had labelled that."""
    floor = labels_of(before)
    strict = raised(labels, floor)
    if strict == labels:
        return labels
    meta = parse(body).get("meta") if body else None  # a deletion lowers nothing either
    labelled = not body or (isinstance(meta, Mapping) and "security" in meta) or floor != UNLABELLED
    return strict if labelled or floor.audience is Audience.PRIVATE else labels


def labels_of(row: Row[Any]) -> Labels:
    return Labels(Confidentiality(row.conf), Family(row.families), Audience(row.audience))


def index(one: Draft, blind: Blind, zone: tzinfo) -> IndexRows:
    """Its search rows. Without a date of its own a record is undated, not dated by its storing:
    no permit for a period holds it, and every deny does (privacy, section 3).
    """
    meta = {k: v for k, v in one.resource.get("meta", {}).items() if k != "lastUpdated"}
    resource = one.resource | {"id": one.id, "meta": meta}
    rows = extract(resource, patient=one.patient, blind=blind, zone=zone)
    searched = {(row["target_type"], row["target_id"]) for row in rows.references}
    mine: dict[str, object] = {"patient": one.patient, "type": one.type, "id": one.id}
    for target_type, target_id in {link[:2] for link in one.links} - searched:
        rows.references.append(mine | {
            "param": ELSEWHERE, "target_type": target_type, "target_id": target_id,
        })  # fmt: skip
    return rows


def as_target(one: Draft) -> Target:
    return Target(one.patient, one.labels, one.author)
