"""Codes that give away a sensitivity by standing in a record (privacy reference, 8 F 74-77).

A short list that can only raise: each line names codes whose published meaning is the sensitivity
itself. What is missing here is protected by the rule for unlabelled records, not by this table.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from service.vocabulary import Family

SUD = Family.SUD
OPIOID = Family.SUD | Family.OPIOIDUD
ALCOHOL = Family.SUD | Family.ETHUD
MH = Family.MH

_HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
_ICD = "http://hl7.org/fhir/sid/icd-10-cm"
_PLACE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
_SERVICE = "http://terminology.hl7.org/CodeSystem/service-type"
_NUCC = "http://nucc.org/provider-taxonomy"
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"

_BEGINNINGS: tuple[tuple[str, Family, str], ...] = (
    # ICD-10: tobacco (F17) is no substance use disorder under 42 CFR 2.11.
    (_ICD, ALCOHOL, "F10 K70 R78.0 Z71.41"),
    (_ICD, OPIOID, "F11 T40.0 T40.1 T40.2 T40.3 T40.4 T40.6"),
    (_ICD, SUD, "F12 F13 F14 F15 F16 F18 F19 T40.5 T40.7 T40.8 T40.9 Z71.5"),
    (_ICD, MH, "F2 F3 F4 F5 F6 F9 R45.85 T14.91 X7 X80 X81 X82 X83"),
    (_ICD, Family.COGN, "F01 F02 F03 G30"),
    (_ICD, Family.DVD, "F7 F8"),
    (_ICD, Family.HIV, "B20 Z21"),
    (_ICD, Family.STD, "A50 A51 A52 A53 A54 A55 A56 A57 A58 A59 A60 A63 A64"),
    (_ICD, Family.SDV, "T74 T76 Z69"),
)  # fmt: skip
_EXACT: tuple[tuple[str, Family, str], ...] = (
    # Modifiers: HF substance use programme, HG opioid treatment, HE mental health, HH both.
    (_HCPCS, SUD, ("HF H0001 H0002 H0003 H0004 H0005 H0006 H0007 H0008 H0009 H0010 H0011 H0012"
                  " H0013 H0014 H0015 H0016 H0022 H0026 H0027 H0028 H0029 H0047 H0048 H0049 H0050"
                  " T1012")),
    (_HCPCS, OPIOID, ("HG H0020 G2067 G2068 G2069 G2070 G2071 G2072 G2073 G2074 G2075 G2076 G2077"
                     " G2078 G2079 G2080")),
    (_HCPCS, MH, "HE H0031 H0032 H0035 H0036 H0037 H0040 H0046"),
    (_HCPCS, SUD | MH, "HH"),
    (_PLACE, SUD, "55 57"),
    (_PLACE, OPIOID, "58"),
    (_PLACE, MH, "51 52 53 56"),
    (_SERVICE, SUD, "105 106 108 111 455 552"),
    (_SERVICE, ALCOHOL, "247"),
    (_SERVICE, MH, ("134 135 136 137 138 139 140 141 142 239 242 243 244 316 346 414 417 423 490"
                   " 541 564")),
    (_SERVICE, Family.SDV, "46 72 80 82 233 439 467 485 543"),
    (_SERVICE, Family.STD, "441"),
    (_NUCC, SUD, ("101YA0400X 103TA0400X 163WA0400X 2083A0300X 2084A0401X 207LA0401X 207QA0401X"
                 " 207RA0401X 261QR0405X 276400000X 324500000X 3245S0500X")),
    (_NUCC, OPIOID, "261QM2800X"),
    # Ingredients: methadone, buprenorphine, naloxone, naltrexone; disulfiram, acamprosate.
    (_RXNORM, OPIOID, "6813 1819 7242 7243"),
    (_RXNORM, ALCOHOL, "3554 82819"),
    ("http://loinc.org", ALCOHOL, "75626-2 72109-2 72110-0"),  # AUDIT-C, AUDIT
    ("http://loinc.org", SUD, "82666-9 82667-7"),  # DAST-10
    ("http://loinc.org", MH, ("34904-3 44249-1 44261-6 55757-9 55758-7 69737-5 70274-6 93246-7"
                             " 93247-5 93248-3 93249-1 93250-9 93267-3 93269-9 93374-7")),
    ("http://snomed.info/sct", ALCOHOL, "7200002 15167005 66590003 24165007 10939881000119105"),
    ("http://snomed.info/sct", OPIOID, "5602001 75544000"),
    ("http://snomed.info/sct", SUD, ("26416006 191816009 66214007 361055000 266707007 313071005"
                                    " 408935001 408936000 56876005 60112009 61480009 55680006")),
    ("http://snomed.info/sct", MH, ("36923009 370143000 35489007 47505003 197480006 21897009"
                                   " 13746004 58214004 6471006 82313006 225337009 225444004"
                                   " 192127007 718347000 736254008 737434004 79094001 88848003"
                                   " 76168009 80583007")),
    ("http://snomed.info/sct", Family.COGN, "26929004 230265002"),
    ("http://snomed.info/sct", Family.SDV, "706893006 424393004"),
    ("http://snomed.info/sct", Family.HIV, "86406008"),
)  # fmt: skip
_INSTRUMENTS: Mapping[str, Family] = MappingProxyType(
    {"barc": SUD, "dast": SUD, "audit": ALCOHOL, "assist": SUD, "phq": MH, "gad": MH,
     "cssrs": MH, "c-ssrs": MH, "pcl": MH}
)  # fmt: skip
"""How the last part of a questionnaire's URL begins."""
_SAME = MappingProxyType(
    {
        _HCPCS.replace("http:", "https:"): _HCPCS,
        "urn:oid:2.16.840.1.113883.6.285": _HCPCS,
        "http://hl7.org/fhir/sid/icd-10": _ICD,
        "urn:oid:2.16.840.1.113883.6.90": _ICD,
        _PLACE.replace("https:", "http:"): _PLACE,
        "urn:oid:2.16.840.1.113883.6.96": "http://snomed.info/sct",
        "urn:oid:2.16.840.1.113883.6.1": "http://loinc.org",
        "urn:oid:2.16.840.1.113883.6.88": _RXNORM,
    }
)
_WORD = re.compile(r"[^A-Z0-9]+")


def _index(rows: tuple[tuple[str, Family, str], ...]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for system, family, codes in rows:
        for code in codes.split():
            found.setdefault(system, {})[code] = int(family)
    for alias, system in _SAME.items():
        if system in found:
            found[alias] = found[system]
    return MappingProxyType(found)


# Plain integers: an IntFlag costs a microsecond for every `|`.
_exact = _index(_EXACT)
_beginnings = tuple(
    (begin.replace(".", ""), int(family))
    for _, family, codes in _BEGINNINGS
    for begin in codes.split()
)


def by_code(system: str, code: str) -> int:
    """The bits of the sensitivities that this code gives away, often none."""
    listed = _exact.get(system)
    if listed is None:
        if _SAME.get(system, system) != _ICD:
            return 0
        plain = code.upper().replace(".", "")
        return _union(bits for begin, bits in _beginnings if plain.startswith(begin))
    if listed is _exact[_HCPCS]:  # H0038-HF is a code and a modifier
        return _union(listed.get(word, 0) for word in _WORD.split(code.upper()))
    return listed.get(code, 0)


def _union(families: Iterable[int]) -> int:
    found = 0
    for bits in families:
        found |= bits
    return found


def by_questionnaire(url: str) -> int:
    """The bits of the sensitivities that the name of an instrument gives away."""
    name = url.partition("|")[0].rstrip("/").rpartition("/")[2].lower()
    return _union(int(family) for begin, family in _INSTRUMENTS.items() if name.startswith(begin))
