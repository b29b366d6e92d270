"""The gate: decides, opens the only transactions, and writes the ledger (design, section 1).

    with access.permit(Action.READ, presented, type="Encounter") as act:
        found = act.records.read("Encounter", id)
    return found.body                       # data and entry were durable before this line

Writes: data and entry commit together or not at all (lane W). Reads and refusals: the entry goes
through the group commit and is durable before `with` ends (lane R). A refusal that cannot be
recorded answers 503, not 403: nothing leaves that the ledger does not know of.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from service.access import receipt
from service.access.act import Act
from service.access.asking import Asked, Asking, login, random_id, refusal
from service.access.caller import Caller, Presented, Tokens
from service.access.permit import Deny, Permit
from service.access.policy import decide
from service.access.viewing import subject_of, view_of
from service.audit.append import append
from service.audit.groupcommit import GroupCommit
from service.audit.log import Ledger
from service.database.faults import reason
from service.database.opener import Opener
from service.database.transactions import Transactions
from service.errors import Absent, Conflict, Forbidden, PeernotesError, Unavailable
from service.keys.keyring import Keyring
from service.records import grounds
from service.records.directory import Directory
from service.records.store import Records
from service.vocabulary import (
    WRITES,
    Action,
    Micros,
    PatientId,
    Purpose,
    ResourceId,
)


def opener(engine: Engine, *, sharing: Transactions | None = None) -> Transactions:
    """What start-up code hands to machine work; two over one SQLite file share their writer."""
    return Transactions(engine, sharing.writer if sharing else None)


@dataclass(slots=True)
class Work:
    """A sign-in, token or account act: a write transaction that ends in one LOGIN entry."""

    connection: Connection
    at: Micros
    keyring: Keyring
    refused: str = ""

    def refuse(self, reason: str, /) -> None:
        """The entry says refused; what was written (an assertion seen) is kept all the same."""
        self.refused = reason


class Access:
    """One per process. Everything it is given was opened by start-up code."""

    def __init__(
        self,
        *,
        opener: Opener,
        lane: GroupCommit,
        ledger: Ledger,
        keyring: Keyring,
        directory: Directory,
        tokens: Tokens,
        clock: Callable[[], Micros],
        zone: ZoneInfo,
    ) -> None:
        self._opener = opener
        self._lane = lane
        self._ledger = ledger
        self._keyring = keyring
        self._directory = directory
        self._tokens = tokens
        self._clock = clock
        self._zone = zone

    @property
    def clock(self) -> Callable[[], Micros]:
        return self._clock

    @property
    def observer(self) -> ResourceId:
        """The Device that this service is, in the AuditEvents it renders."""
        return ResourceId(self._keyring.tenant)

    @property
    def healthy(self) -> bool:
        """Whether an access could be recorded now; without that nothing is answered."""
        return self._lane.healthy

    @contextmanager
    def published(self) -> Iterator[Connection]:
        """A read of what holds nothing about anybody: checkpoint and hash tiles, health."""
        try:
            with self._opener.read() as connection:
                yield connection
        except (DBAPIError, PoolExhausted) as error:
            raise Unavailable("The database does not answer.") from error

    @contextmanager
    def permit(
        self,
        action: Action,
        presented: Presented,
        *,
        type: str = "",
        id: str = "",
        patient: PatientId | None = None,
        purpose: Purpose | None = None,
    ) -> Iterator[Act]:
        """Raises Unauthenticated, Forbidden or Unavailable; a refusal is in the ledger by then."""
        asked = Asked(action, self._clock(), type, random_id(id), patient, purpose)
        who = Asking(presented.principal, presented.client)
        with (
            self._recorded(asked, who),
            self._opened(asked) as connection,
            self._act(asked, self._known(who, presented, connection, asked.at), connection) as act,
        ):
            yield act
        self._settle(act)

    @contextmanager
    def operate(self, action: Action, caller: Caller, *, type: str = "") -> Iterator[Act]:
        """For the operator's command line, which holds the keyring; decided and recorded alike."""
        asked = Asked(action, self._clock(), type, "", None, None)
        who = Asking(caller.principal, caller.client, caller)
        with (
            self._recorded(asked, who),
            self._opened(asked) as connection,
            self._act(asked, caller, connection) as act,
        ):
            yield act
        self._settle(act)

    def _known(
        self, who: Asking, presented: Presented, connection: Connection, at: Micros
    ) -> Caller:
        who.caller = self._tokens.resolve(connection, presented, at)
        return who.caller

    def _opened(self, asked: Asked) -> AbstractContextManager[Connection]:
        return self._opener.write() if asked.action in WRITES else self._opener.read()

    @contextmanager
    def _act(self, asked: Asked, caller: Caller, connection: Connection) -> Iterator[Act]:
        decision = decide(
            subject_of(caller),
            asked.action,
            type=asked.type or None,
            purpose=asked.purpose,
            at=asked.at,
        )
        if isinstance(decision, Deny):
            raise Forbidden("This role or scope may not do this.")
        act = self._open_act(asked, caller, decision, connection)
        yield act
        act.rest_on()
        act.said = act.entries()
        if asked.action in WRITES:
            act.leaves = append(connection, self._ledger, act.said)

    def _settle(self, act: Act) -> None:
        """After the transaction. A write is durable with its entry; a read's entry is made so now,
        before the handler may answer.
        """
        if act.action in WRITES:
            self._lane.acknowledge(act.leaves)
        else:
            self._lane.submit(act.said)
        receipt.mark_durable()

    @contextmanager
    def _recorded(self, asked: Asked, who: Asking) -> Iterator[None]:
        """Whatever goes wrong inside is in the ledger before the caller hears of it."""
        try:
            yield
        except PeernotesError as error:
            self._record_refusal(asked, who, error)
            raise
        except IntegrityError as error:
            conflict = Conflict("Somebody else wrote the same thing at the same time: try again.")
            self._record_refusal(asked, who, conflict)
            raise conflict from error
        except (DBAPIError, PoolExhausted) as error:
            raise Unavailable(f"The database cannot take this now ({_cause(error)}).") from error

    def _open_act(
        self, asked: Asked, caller: Caller, permit: Permit, connection: Connection
    ) -> Act:
        view = view_of(permit)
        records = Records(connection, self._keyring, view, asked.at, self._zone)
        return Act(
            id=str(uuid4()), action=asked.action, at=asked.at, caller=caller, permit=permit,
            connection=connection, keyring=self._keyring, records=records, view=view,
            directory=self._directory, zone=self._zone, resource_type=asked.type,
            about=asked.patient,
        )  # fmt: skip

    @contextmanager
    def work(self, action: Action, *, agent: str = "", client: str = "") -> Iterator[Work]:
        """Sign-in, tokens, accounts: nobody is known yet, or an operator is. Recorded as LOGIN."""
        at = self._clock()
        asked = Asked(action, at, "", "", None, None)
        try:
            with self._opener.write() as connection:
                work = Work(connection, at, self._keyring)
                yield work
                leaves = append(
                    connection, self._ledger, [login(asked, agent, client, work.refused)]
                )
            self._lane.acknowledge(leaves)
        except PeernotesError as error:
            self._lane.submit([login(asked, agent, client, type(error).__name__)])
            raise
        except (DBAPIError, PoolExhausted) as error:
            raise Unavailable(f"The database cannot take this now ({_cause(error)}).") from error
        receipt.mark_durable()

    def _record_refusal(self, asked: Asked, who: Asking, error: PeernotesError) -> None:
        """Durable before the error reaches the door, or the caller gets 503 instead of it."""
        if isinstance(error, Unavailable):
            return
        patient = asked.patient
        if isinstance(error, Absent) and asked.id:
            with self._opener.read() as connection:
                patient = grounds.owner(connection, asked.type, asked.id)
        self._lane.submit([refusal(asked, who, patient, error)])
        receipt.mark_durable()


def _cause(error: Exception) -> str:
    return reason(error) if isinstance(error, DBAPIError) else "no free connection"
