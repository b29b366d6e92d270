"""A consent compiled: flat rows that one SQL predicate can evaluate (privacy, section 5)."""

from dataclasses import dataclass
from typing import Literal

from service.vocabulary import Confidentiality, Family, Micros, ResourceId

TargetKind = Literal["", "instance", "related", "author"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. A permit: ceiling `conf`, cleared `families`. A deny: floor `conf`, hit `families`.

    A root deny loses to a nested permit of the same consent; a nested deny beats everything.
    A deny matches a resource when its conf >= `conf` or it carries one of `families`; a deny that
    names only families has a `conf` above every level (NO_FLOOR), one that names nothing has 0.
    A permit wants the resource's dates inside [data_lo, data_hi), a deny is content with overlap.

    `target` is the id the row is about, `target_kind` how a resource belongs to it:
    'instance' is that very resource; 'related' that resource and what refers to it (for a deny
    also what it refers to, the Patient excepted: every record refers to the Patient); 'author' is
    what that practitioner wrote: for a permit as the server recorded it, for a deny as anyone
    stated it. evaluate.py is the reference for the SQL.
    """

    effect: Literal["permit", "deny"]
    nested: bool
    recipient: str  # '*', 'Organization/<id>', 'Practitioner/<id>', 'class:<code>', 'role:<role>'
    purpose: str  # one v3-ActReason code, or '*': any but BTG
    lo: Micros
    hi: Micros
    conf: int
    families: Family
    data_lo: Micros
    data_hi: Micros
    type: str  # '*' or a resource type
    target: ResourceId | None = None
    target_kind: TargetKind = ""


NO_FLOOR = Confidentiality.V + 1
