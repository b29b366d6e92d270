"""What protects a resource: confidentiality, sensitivities, audience. Pure, and only ever raises.

Effective labels are the stored ones and those that codes inside the resource give away (privacy
reference, section 4). Nobody labels a record by saying nothing: unlabelled means R and every
sensitivity. Inline labels are not kept apart: an element's label holds for the whole resource.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from service.records import revealing
from service.vocabulary import (
    ACT_CODE,
    AUDIENCE_LABEL,
    CONFIDENTIALITY,
    EVERY_SENSITIVITY,
    HOUSE_TYPES,
    PART2_LABEL,
    Audience,
    Confidentiality,
    Family,
)

INLINE_LABEL = "inline-sec-label"
"""How the URLs of DS4P's and older inline label extensions end."""
HANDLING = frozenset(
    {
        "NORDSCLCD", "PERSISTLABEL", "PROCESSINLINELABEL", "RedisclosureProhibitionMark", "CPLYPOL",
        "CPLYCD", "CPLYJPP", "ENCRYPT", "NOAUTH", "NOCOLLECT", "NODSCLCD", "NOINTEGRATE", "NOLIST",
        "NOMOU", "NOPAT", "NOPERSISTP", "NORELINK", "NOREUSE", "NOVIP", "NOORGPOL", "HUAPRV",
    }
)  # fmt: skip
"""v3-ActCode marks that say how to handle a record, not what it reveals."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The label bits of one resource, as `visible()` compares them."""

    conf: Confidentiality
    families: Family
    audience: Audience = Audience.TEAM

    def raised(self, other: "Labels") -> "Labels":
        """The stricter of both in every respect: what an update by a client may at most change."""
        private = Audience.PRIVATE in {self.audience, other.audience}
        return Labels(
            max(self.conf, other.conf),
            self.families | other.families,
            Audience.PRIVATE if private else Audience.TEAM,
        )


HOUSE_LABELS = Labels(Confidentiality.N, Family(0))
UNLABELLED = Labels(Confidentiality.R, EVERY_SENSITIVITY)


def effective(resource: dict[str, Any]) -> Labels:
    """The labels a resource is stored under, whoever wrote it."""
    conf, families, audience = _read(_stored(resource))
    if resource["resourceType"] in HOUSE_TYPES:
        return Labels(max(conf or HOUSE_LABELS.conf, HOUSE_LABELS.conf), families, audience)
    if conf is None and not families:
        families = UNLABELLED.families
    inline, revealed = _inside(resource)
    inner_conf, inner_families, inner_audience = _read(inline)
    labels = Labels(UNLABELLED.conf if conf is None else conf, families, audience)
    if inner_conf is not None or inner_families:
        stated = Labels(inner_conf or Confidentiality.U, inner_families, inner_audience)
        labels = labels.raised(stated)
    if revealed:
        labels = labels.raised(Labels(Confidentiality.R, revealed))
    return labels


def _read(codings: Iterable[dict[str, Any]]) -> tuple[Confidentiality | None, Family, Audience]:
    """A code we do not know counts as the strictest thing its system could say."""
    conf, families, audience = None, Family(0), Audience.TEAM
    for coding in codings:
        code = coding.get("code", "")
        system = coding.get("system")
        if system == CONFIDENTIALITY:
            named = Confidentiality.__members__.get(code, Confidentiality.V)
            conf = named if conf is None else max(conf, named)
        elif system == AUDIENCE_LABEL and code != Audience.TEAM:
            audience = Audience.PRIVATE
        elif system == ACT_CODE and code == PART2_LABEL:
            families |= Family.SUD  # what 42 CFR Part 2 protects is a substance use record
        elif system == ACT_CODE and code not in HANDLING:
            families |= Family.__members__.get(code, Family.OTHER)
    return conf, families, audience


def _stored(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from resource.get("meta", {}).get("security", ())
    if resource["resourceType"] == "DocumentReference":
        for concept in resource.get("securityLabel", ()):
            yield from concept.get("coding", ())


def _inside(resource: dict[str, Any]) -> tuple[list[dict[str, Any]], Family]:
    """Inline labels, and what the codes inside give away; contained resources included."""
    inline: list[dict[str, Any]] = []
    revealed = 0
    waiting: list[Any] = [resource]
    while waiting:
        value = waiting.pop()
        if value.__class__ is list:
            waiting += value
            continue
        if value.__class__ is not dict:
            continue
        if "system" in value:
            if "code" in value:
                revealed |= revealing.by_code(value["system"], value["code"])
        elif "url" in value and str(value["url"]).endswith(INLINE_LABEL):
            inline += [one for one in value.values() if one.__class__ is dict]
        elif "questionnaire" in value:
            revealed |= revealing.by_questionnaire(str(value["questionnaire"]))
        waiting += value.values()
    return inline, Family(revealed)
