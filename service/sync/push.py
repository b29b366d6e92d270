"""Push: operations in order, each in its own permit, transaction and ledger entry (tablet, §3).

The op's row, its records, index rows and ledger entry are one commit. A rejection rolls that back
and then stores its own row, so a replay gets the same answer. One bad operation never blocks its
neighbours; a signed note that its author may no longer file is quarantined, sealed, never dropped.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from service.access.act import Act
from service.access.caller import Presented
from service.access.enforce import Access
from service.errors import (
    Absent,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Issue,
    Malformed,
    StaleVersion,
    Unavailable,
)
from service.notes.author import Author, Program
from service.records import operations
from service.sync import held
from service.sync.handlers import HANDLERS
from service.sync.operation import (
    MOST_NUMBER,
    OLDEST_SCHEMA,
    SCHEMA,
    Operation,
    digest,
    is_op_id,
    is_uuid,
)
from service.vocabulary import Action, PatientId, Purpose, ResourceId

TRIES = 5


@dataclass(frozen=True, slots=True)
class Result:
    """One operation's outcome, as it goes to the tablet and into the operation's row."""

    op_id: str
    status: str  # applied, rejected, blocked, conflict, quarantined, denied
    version: int | None = None
    issues: tuple[Issue, ...] = ()
    replay: bool = False

    def wire(self) -> dict[str, Any]:
        found: dict[str, Any] = {"op_id": self.op_id, "status": self.status}
        if self.replay:
            found["replay"] = True
        if self.version is not None:
            found["version"] = self.version
        if self.issues:
            found["issues"] = [
                {"path": issue.expression or "", "code": issue.code, "text": issue.diagnostics}
                for issue in self.issues
            ]
        return found


class Push:
    """Pushes the operations of one signed-in peer from one tablet."""

    def __init__(
        self, access: Access, presented: Presented, device: ResourceId,
        sensitivities: tuple[str, ...], purpose: Purpose,
    ) -> None:  # fmt: skip
        self._access = access
        self._presented = presented
        self._device = device
        self._sensitivities = sensitivities
        self._purpose = purpose

    def one(self, raw: dict[str, Any]) -> Result:
        """Never raises for what is wrong with the operation; raises when nothing can be stored."""
        result = self._unfit(raw)
        if result is None:
            return self._settled(msgspec.convert(raw, Operation))
        self._refuse()
        return result

    def nothing(self) -> None:
        """An empty batch is an act like any other: permitted and recorded, or refused."""
        with self._permit():
            pass

    def _unfit(self, raw: dict[str, Any]) -> Result | None:
        """What is wrong with it before anything is looked up; None if it may be tried."""
        op_id = raw.get("op_id")
        if not isinstance(op_id, str) or not is_op_id(op_id):
            return _rejected("", Issue("value", "op_id is a lower-case UUID, version 7.", "op_id"))
        try:
            operation = msgspec.convert(raw, Operation)
        except msgspec.ValidationError:
            issue = Issue("structure", "The operation has missing, wrong or unknown fields.")
            return _rejected(op_id, issue)
        if faults := tuple(self._faults(operation, raw)):
            return Result(op_id, "rejected", issues=faults)
        if operation.user_id != self._presented.principal:
            return Result(op_id, "denied", issues=(Issue("denied", "Not this author's."),))
        return None

    def _faults(self, operation: Operation, raw: dict[str, Any]) -> Iterator[Issue]:
        if digest(raw) != operation.sha256:
            yield Issue("digest", "sha256 is not that of the operation.", "sha256")
        if not OLDEST_SCHEMA <= operation.schema <= SCHEMA:
            yield Issue("schema", "This schema is not spoken here: upgrade the app.", "schema")
        if operation.type not in HANDLERS:
            yield Issue("type", "No such operation.", "type")
        elif operation.entity.type != HANDLERS[operation.type][0]:
            yield Issue("value", "The entity does not fit the operation.", "entity.type")
        if not is_uuid(operation.entity.id):
            yield Issue("value", "A lower-case UUID is expected.", "entity.id")
        if operation.device_id != self._device:
            yield Issue("value", "The operation names another device.", "device_id")
        if not 0 <= operation.seq <= MOST_NUMBER:
            yield Issue("value", "A count from 0 to 2^53 - 1 is expected.", "seq")
        if not all(map(is_op_id, operation.depends_on)):
            yield Issue("value", "Lower-case UUIDs, version 7, are expected.", "depends_on")

    def _refuse(self) -> None:
        """A failed entry for what never reached the store: no answer leaves without one."""
        with suppress(Invalid), self._permit():
            raise Invalid("The operation was refused as it stands.")

    def _settled(self, operation: Operation) -> Result:
        """Tries until this copy of the operation, or another one, has its row.

        What each round leaves behind: all of the operation, or nothing; then the outcome's row, or
        nothing because another copy was quicker. So after any crash the next push goes on.
        """
        for left in reversed(range(TRIES)):
            try:
                return self._tried(operation)
            except (Absent, Gone, held.Held):
                outcome = Result(operation.op_id, "quarantined")
            except StaleVersion as error:
                if operation.base_version is None and left:
                    continue  # another act wrote between our read and our write: read again
                outcome = Result(operation.op_id, "conflict", issues=error.issues)
            except Conflict as error:
                outcome = Result(operation.op_id, "conflict", issues=error.issues)
            except (Invalid, Malformed, Forbidden) as error:
                outcome = Result(operation.op_id, "rejected", issues=error.issues)
            with suppress(Conflict):  # another copy of this push won; it has stored the row
                return self._stored(operation, outcome)
        raise Unavailable("This operation is being pushed by others at the same time.")

    def _permit(self, operation: Operation | None = None) -> AbstractContextManager[Act]:
        """The entry says about whom, as far as the operation says so, even when it is refused."""
        if operation is None:
            return self._access.permit(
                Action.SYNC_PUSH, self._presented, type="Encounter", purpose=self._purpose
            )
        participant = str(operation.payload.get("participant"))
        note = str(operation.payload.get("note"))
        return self._access.permit(
            Action.SYNC_PUSH, self._presented, type=operation.entity.type,
            id=note if is_uuid(note) else "",
            patient=PatientId(participant) if is_uuid(participant) else None,
            purpose=self._purpose,
        )  # fmt: skip

    def _tried(self, operation: Operation) -> Result:
        with self._permit(operation) as act:
            known = self._known(act, operation)
            if known is not None:
                return known
            if not self._ready(act, operation):
                return Result(operation.op_id, "blocked")
            held.demand_past(operation, act.at)
            version = HANDLERS[operation.type][1](act, operation, self._author(act, operation))
            result = Result(operation.op_id, "applied", version)
            self._record(act, operation, result)
        return result

    def _stored(self, operation: Operation, outcome: Result) -> Result:
        """A second act: the outcome's row; a quarantined operation is kept whole, sealed."""
        with self._permit() as act:
            known = self._known(act, operation)
            if known is None:
                self._record(act, operation, outcome)
        return known or outcome

    def _known(self, act: Act, operation: Operation) -> Result | None:
        """The first answer again; or a refusal, when the id was used for something else."""
        found = operations.find(act.connection, act.keyring, operation.op_id)
        if found is None:
            return None
        if not found.matches(act.keyring, operation.sha256, act.caller.principal):
            issue = Issue("op_id_reuse", "This op_id was used for another operation.", "op_id")
            return _rejected(operation.op_id, issue)
        first = msgspec.json.decode(found.result)
        issues = tuple(
            Issue(each["code"], each["text"], each["path"]) for each in first.get("issues", [])
        )
        return Result(operation.op_id, found.status, first.get("version"), issues, replay=True)

    def _ready(self, act: Act, operation: Operation) -> bool:
        """What it depends on is applied, and was this author's."""
        found = [
            operations.find(act.connection, act.keyring, op_id) for op_id in operation.depends_on
        ]
        mine = act.caller.principal
        return all(one and one.status == "applied" and one.principal == mine for one in found)

    def _author(self, act: Act, operation: Operation) -> Author:
        caller = act.caller
        if caller.practitioner is None or caller.organisation is None:
            raise Forbidden("Only staff of a program sign sessions.")
        return Author(
            practitioner=caller.practitioner,
            program=Program(caller.organisation, self._sensitivities),
            device=self._device,
            operation=ResourceId(operation.op_id),
            operation_digest=operation.sha256,
            received=act.at,
        )

    def _record(self, act: Act, operation: Operation, result: Result) -> None:
        kept = result.wire()
        if result.status == "quarantined":
            kept["held"] = held.keep(act, operation)
        operations.record(
            act.connection, act.keyring, op_id=operation.op_id, principal=act.caller.principal,
            device=operation.device_id, number=operation.seq, sha256=operation.sha256,
            status=result.status, received=act.at, result=msgspec.json.encode(kept),
        )  # fmt: skip


def _rejected(op_id: str, issue: Issue) -> Result:
    return Result(op_id, "rejected", issues=(issue,))


def push(
    access: Access, presented: Presented, device: ResourceId, raw: tuple[dict[str, Any], ...],
    sensitivities: tuple[str, ...], purpose: Purpose | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """An outcome per operation, in order. PeernotesError only when the whole push must wait.

    Logging a session is treatment, also for a supervisor who covers for a peer.
    """
    pusher = Push(access, presented, device, sensitivities, purpose or Purpose.TREAT)
    if not raw:
        pusher.nothing()
    return [pusher.one(each).wire() for each in raw]
