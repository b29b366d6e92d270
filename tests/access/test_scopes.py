"""SMART scopes: the grammar of both versions, and grants that never exceed registration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.scopes import LETTERS, Scope, grant, parse

CONDITION = "system/Condition.rs?category=http://loinc.org|problem"


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("system/Encounter.rs", "system/Encounter.rs"),
        ("patient/*.read", "patient/*.rs"),
        ("user/Patient.write", "user/Patient.cud"),
        ("system/*.*", "system/*.cruds"),
        ("system/Encounter.cs", "system/Encounter.cs"),
        (CONDITION, CONDITION),
    ],
)
def test_what_is_a_scope(text: str, again: str) -> None:
    assert str(parse(text)) == again


@pytest.mark.parametrize(
    "text",
    [
        "", "role", "openid", "launch/patient", "system/Encounter", "system/Encounter.",
        "system/Encounter.sr", "system/Encounter.rr", "system/Encounter.x", "System/Encounter.rs",
        "system/encounter.rs", "system/**.rs", "system/Encounter.rs\n", "system/Encounter.rs?",
        "system/Encounter.rs?category=", "system/Encounter.rs?_id=1", "system/*.rs?category=a",
        "system/Encounter.rs?category=a b", "system/Encounter.read.rs", "admin/Patient.rs",
    ],
)  # fmt: skip
def test_what_is_not_a_scope(text: str) -> None:
    assert parse(text) is None


def test_a_narrowed_registration_narrows_what_is_asked_broadly() -> None:
    assert grant("system/Condition.rs system/*.s", CONDITION, ["system"]) == (
        CONDITION,
        CONDITION.replace(".rs", ".s"),
    )


def test_two_different_narrowings_have_nothing_in_common() -> None:
    asked, registered = (f"system/Condition.rs?category={value}" for value in "ab")
    assert grant(asked, registered, ["system"]) == ()


letters = st.sets(st.sampled_from(LETTERS), min_size=1).map(frozenset)
scopes = st.builds(
    Scope,
    st.sampled_from(["system", "user"]),
    st.sampled_from(["*", "Encounter", "Patient"]),
    letters,
)


def opens(scope: Scope) -> set[tuple[str, str, str]]:
    types = ["Encounter", "Patient", "Other"] if scope.type == "*" else [scope.type]
    return {(scope.level, type_, letter) for type_ in types for letter in scope.letters}


@given(st.lists(scopes, max_size=4), st.lists(scopes, max_size=4))
def test_a_grant_opens_what_was_asked_and_registered_and_nothing_else(
    asked: list[Scope], registered: list[Scope]
) -> None:
    granted = grant(" ".join(map(str, asked)), " ".join(map(str, registered)), ["system"])
    total = set().union(*(opens(s) for s in map(parse, granted) if s))
    wanted = set().union(*map(opens, asked)) & set().union(*map(opens, registered))
    assert total == {part for part in wanted if part[0] == "system"}
