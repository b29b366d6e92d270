"""A note's life as a machine: whatever is tried in whatever order, what was signed stays."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.errors import Conflict, Forbidden, Invalid
from service.notes import compose, states
from service.notes.session import read_session
from service.notes.states import NoteState, state_of
from service.records.validate import validate
from service.vocabulary import ResourceId
from tests.notes.sessions import DANA, OCCURRED, SAM, E, author, payload

SIGNED_ELEMENTS = ("content", "author", "subject", "date", "type", "context")
people = st.sampled_from([DANA, SAM, ResourceId("20000000-0000-4000-8000-000000000009")])


def signed_note() -> dict[str, Any]:
    session = read_session(ResourceId(E), OCCURRED, payload())
    return compose.new_records(session, author(), ("x",))[1]


class Life(RuleBasedStateMachine):
    """`expected` is the model: the state that the domain reference, section 6, gives."""

    def __init__(self) -> None:
        super().__init__()
        self.signed = signed_note()
        self.note = deepcopy(self.signed)
        self.expected = NoteState.SIGNED
        self.cosigner: str | None = None

    @rule(who=people)
    def co_sign(self, who: ResourceId) -> None:
        if self.expected is not NoteState.SIGNED:
            self._refused(Conflict, states.co_sign, who)
        elif who == DANA:
            self._refused(Forbidden, states.co_sign, who)
        else:
            self.note = states.co_sign(self.note, who)
            self.expected, self.cosigner = NoteState.FINAL, who

    @rule(who=people)
    def amend(self, who: ResourceId) -> None:
        if who != DANA:
            self._refused(Forbidden, states.supersede, who)
        elif self.expected not in (NoteState.SIGNED, NoteState.FINAL):
            self._refused(Conflict, states.supersede, who)
        else:
            self.note = states.supersede(self.note, who)
            self.expected = NoteState.SUPERSEDED

    @rule(who=people)
    def enter_in_error(self, who: ResourceId) -> None:
        if who != DANA:
            self._refused(Forbidden, states.enter_in_error, who)
        elif self.expected is NoteState.IN_ERROR:
            self._refused(Conflict, states.enter_in_error, who)
        else:
            self.note = states.enter_in_error(self.note, who)
            self.expected = NoteState.IN_ERROR

    @rule(element=st.sampled_from(SIGNED_ELEMENTS))
    def change_what_was_signed(self, element: str) -> None:
        with pytest.raises(Invalid):
            states.demand_text_unchanged(self.note, self.note | {element: "other"})

    @rule()
    def come_back_from_error(self) -> None:
        back = self.note | {"status": "current", "docStatus": "final"}
        if self.expected is NoteState.IN_ERROR:
            with pytest.raises(Invalid):
                states.demand_text_unchanged(self.note, back)

    def _refused(self, error: type[Exception], step: Any, who: ResourceId) -> None:
        before = deepcopy(self.note)
        with pytest.raises(error):
            step(self.note, who)
        assert self.note == before

    @invariant()
    def the_state_is_the_models(self) -> None:
        assert state_of(self.note) is self.expected

    @invariant()
    def what_was_signed_stays(self) -> None:
        assert all(self.note[name] == self.signed[name] for name in SIGNED_ELEMENTS)
        states.demand_text_unchanged(self.signed, self.note)

    @invariant()
    def a_co_signature_is_named_and_never_the_authors(self) -> None:
        named = self.note.get("authenticator", {}).get("reference")
        assert named == (f"Practitioner/{self.cosigner}" if self.cosigner else None)
        assert self.cosigner != DANA

    @invariant()
    def it_can_be_stored(self) -> None:
        validate(self.note)

    @invariant()
    def only_a_note_in_force_keeps_its_encounter(self) -> None:
        in_force = self.expected in (NoteState.SIGNED, NoteState.FINAL)
        assert states.in_force_for_the_team(self.note) is in_force


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
