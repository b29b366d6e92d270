"""Which sensitivities a label in a consent stands for: our own closure (privacy, section 4).

The code tree of v3-ActCode puts ETH outside SUD and PSY, MH, BH side by side, so it cannot be used
as it is: a permit for MH would not open what another system labelled PSY.
"""

from collections.abc import Iterator, Mapping

from service.vocabulary import SEPARATE, Family

SUBSTANCE = Family.ETH | Family.SUD | Family.ETHUD | Family.OPIOIDUD
MENTAL = Family.PSY | Family.MH | Family.BH | Family.EMOTDIS
BEHAVIOURAL = MENTAL | Family.COGN | Family.DVD

PERMITS: Mapping[Family, Family] = {
    Family.ETH: SUBSTANCE,
    Family.SUD: SUBSTANCE,
    Family.PSY: MENTAL,
    Family.MH: MENTAL,
    Family.BH: BEHAVIOURAL,
    Family.SPI: SUBSTANCE | BEHAVIOURAL | Family.SPI,
    Family.OTHER: Family(0),  # two unknown codes share this bit: clearing it would open both
}
SEPARATE_NOTES: Mapping[Family, Family] = {
    Family.PSY: Family.PSYTHPN,
    Family.MH: Family.PSYTHPN,
    Family.BH: Family.PSYTHPN,
    Family.ETH: Family.SUDCN,
    Family.SUD: Family.SUDCN,
    Family.SPI: SEPARATE,
}
"""Who denies these surely does not mean the separate notes to stay open."""


def family(code: str) -> Family:
    """The bit of a v3-ActCode sensitivity; a code we do not know is OTHER."""
    return Family.__members__.get(code, Family.OTHER)


def each(families: Family) -> Iterator[Family]:
    return (bit for bit in Family if bit & families)


def permits(families: Family) -> Family:
    """What a permit that names these opens."""
    opened = Family(0)
    for bit in each(families):
        opened |= PERMITS.get(bit, bit)
    return opened


def denies(families: Family) -> Family:
    """What a deny that names these hits: the same, every broader code, and separate notes."""
    hit = families
    for bit in each(families):
        hit |= PERMITS.get(bit, bit) | SEPARATE_NOTES.get(bit, Family(0))
        for broader, covered in PERMITS.items():
            if covered & bit:
                hit |= broader
    return hit
