"""Push: operations in order, each in its own permit, transaction and ledger entry (tablet, §3).

The op's row, its records, index rows and ledger entry are one commit. A rejection rolls that back
and then stores its own row, so a replay gets the same answer. One bad operation never blocks its
neighbours; a signed note that its author may no longer file is quarantined, sealed, never dropped.
"""

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
)
from service.notes.author import Author, Program
from service.records import operations
from service.sync.handlers import HANDLERS
from service.sync.operation import OLDEST_SCHEMA, SCHEMA, Operation, digest, is_uuid
from service.vocabulary import Action, ResourceId


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
        sensitivities: tuple[str, ...],
    ) -> None:  # fmt: skip
        self._access = access
        self._presented = presented
        self._device = device
        self._sensitivities = sensitivities

    def one(self, raw: dict[str, Any]) -> Result:
        """Never raises for what is wrong with the operation; raises when nothing can be stored."""
        result = self._unfit(raw)
        if result is None:
            return self._settled(msgspec.convert(raw, Operation))
        self._refuse()
        return result

    def _unfit(self, raw: dict[str, Any]) -> Result | None:
        """What is wrong with it before anything is looked up; None if it may be tried."""
        op_id = raw.get("op_id")
        if not isinstance(op_id, str) or not is_uuid(op_id):
            return _rejected("", Issue("value", "op_id is a lower-case UUID.", "op_id"))
        try:
            operation = msgspec.convert(raw, Operation)
        except msgspec.ValidationError:
            issue = Issue("structure", "The operation has missing, wrong or unknown fields.")
            return _rejected(op_id, issue)
        if fault := self._fault(operation, raw):
            return _rejected(op_id, fault)
        if operation.user_id != self._presented.principal:
            return Result(op_id, "denied", issues=(Issue("denied", "Not this author's."),))
        return None

    def _refuse(self) -> None:
        """A failed entry for what never reached the store: no answer leaves without one."""
        with suppress(Invalid), self._permit():
            raise Invalid("The operation was refused as it stands.")

    def _fault(self, operation: Operation, raw: dict[str, Any]) -> Issue | None:
        if digest(raw) != operation.sha256:
            return Issue("digest", "sha256 is not that of the operation.", "sha256")
        if not OLDEST_SCHEMA <= operation.schema <= SCHEMA:
            return Issue("schema", "This schema is not spoken here: upgrade the app.", "schema")
        if operation.type not in HANDLERS:
            return Issue("type", "No such operation.", "type")
        if operation.entity.type != HANDLERS[operation.type][0] or not is_uuid(operation.entity.id):
            return Issue("value", "The entity does not fit the operation.", "entity")
        if operation.device_id != self._device:
            return Issue("value", "The operation names another device.", "device_id")
        return None

    def _settled(self, operation: Operation) -> Result:
        try:
            with self._permit() as act:
                known = self._known(act, operation)
                if known is not None:
                    return known
                result = self._apply(act, operation)
        except (Absent, Gone):
            return self._stored(operation, Result(operation.op_id, "quarantined"))
        except (StaleVersion, Conflict) as error:
            return self._stored(operation, Result(operation.op_id, "conflict", issues=error.issues))
        except (Invalid, Malformed, Forbidden) as error:
            return self._stored(operation, Result(operation.op_id, "rejected", issues=error.issues))
        return result

    def _permit(self) -> AbstractContextManager[Act]:
        return self._access.permit(Action.SYNC_PUSH, self._presented, type="Encounter")

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

    def _apply(self, act: Act, operation: Operation) -> Result:
        for needed in operation.depends_on:
            before = operations.find(act.connection, act.keyring, needed)
            if before is None or before.status != "applied":
                return Result(operation.op_id, "blocked")
        version = HANDLERS[operation.type][1](act, operation, self._author(act, operation))
        result = Result(operation.op_id, "applied", version)
        self._record(act, operation, result)
        return result

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

    def _stored(self, operation: Operation, result: Result) -> Result:
        """A second act: the outcome's row; a quarantined operation is kept whole, sealed."""
        try:
            with self._permit() as act:
                known = self._known(act, operation)
                if known is not None:
                    return known
                self._record(act, operation, result)
        except Conflict:  # another copy of this push won; it has stored the row
            return self._settled(operation)
        return result

    def _record(self, act: Act, operation: Operation, result: Result) -> None:
        kept = result.wire()
        if result.status == "quarantined":
            kept["operation"] = msgspec.to_builtins(operation)
        operations.record(
            act.connection, act.keyring, op_id=operation.op_id, principal=act.caller.principal,
            device=operation.device_id, number=operation.seq, sha256=operation.sha256,
            status=result.status, received=act.at, result=msgspec.json.encode(kept),
        )  # fmt: skip


def _rejected(op_id: str, issue: Issue) -> Result:
    return Result(op_id, "rejected", issues=(issue,))


def push(
    access: Access, presented: Presented, device: ResourceId, raw: tuple[dict[str, Any], ...],
    sensitivities: tuple[str, ...],
) -> list[dict[str, Any]]:  # fmt: skip
    """An outcome per operation, in order. PeernotesError only when the whole push must wait."""
    pusher = Push(access, presented, device, sensitivities)
    return [pusher.one(each).wire() for each in raw]
