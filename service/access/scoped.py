"""What a caller's SMART scopes allow, as letters per type (grammar: scopes.py).

Granular scopes (`?param=value`) narrow in a way we do not evaluate, so they count as absent.
"""

from collections.abc import Mapping
from functools import lru_cache

from service.access.scopes import ANY, parse
from service.vocabulary import Action, Role

LETTERS: Mapping[Action, str] = {
    Action.READ: "r", Action.VREAD: "r", Action.HISTORY: "r", Action.SEARCH: "s",
    Action.CREATE: "c", Action.UPDATE: "u", Action.DELETE: "d",
    Action.AUDIT_SEARCH: "s", Action.AUDIT_PROOF: "r", Action.ACCOUNTING: "s",
}  # fmt: skip
SYSTEM, USER, PATIENT = "system", "user", "patient"


def contexts(role: Role) -> frozenset[str]:
    """Which scopes speak for a caller: a system's for itself, a person's for the person."""
    match role:
        case Role.EHR:
            return frozenset({SYSTEM})
        case Role.PARTICIPANT:
            return frozenset({USER, PATIENT})
        case _:
            return frozenset({USER})


@lru_cache(maxsize=1024)
def granted(scopes: tuple[str, ...], role: Role) -> Mapping[str, frozenset[str]]:
    """Letters of `cruds` by type; '*' is any type. What is not understood grants nothing."""
    letters: dict[str, set[str]] = {}
    for scope in map(parse, scopes):
        if scope and scope.narrowed is None and scope.level in contexts(role):
            letters.setdefault(scope.type, set()).update(scope.letters)
    return {type_: frozenset(found) for type_, found in letters.items()}


def allows(scopes: tuple[str, ...] | None, role: Role, type_: str, letters: str) -> bool:
    """Any of `letters` on this type; a first-party sign-in carries no scopes and needs none."""
    if scopes is None:
        return True
    found = granted(scopes, role)
    return not frozenset(letters).isdisjoint(
        found.get(type_, frozenset()) | found.get(ANY, frozenset())
    )
