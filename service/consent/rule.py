"""A consent compiled: flat rows that one SQL predicate can evaluate (privacy, section 5)."""

from dataclasses import dataclass
from typing import Literal

from service.vocabulary import Confidentiality, Family, Micros, ResourceId


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. A permit: ceiling `conf`, cleared `families`. A deny: floor `conf`, hit `families`.

    A root deny loses to a nested permit of the same consent; a nested deny beats everything.
    A deny matches a resource when its conf >= `conf` or it carries one of `families`; a deny that
    names only families has a `conf` above every level (NO_FLOOR), one that names nothing has 0.
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


NO_FLOOR = Confidentiality.V + 1
