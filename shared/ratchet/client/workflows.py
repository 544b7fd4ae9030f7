"""The client of the admin API: start workflows, look at them, act on them, wait for them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import UUID
from weakref import WeakSet

import httpx2

from ratchet.client.endpoints import Endpoints, TokenSource, endpoints_from
from ratchet.client.errors import Problem, ServerUnreachable
from ratchet.client.filters import FailedFilter, WorkflowFilter, query_of
from ratchet.client.http_calls import Call, HttpCalls, Query, Timing
from ratchet.client.notifications import Following, NotificationStream
from ratchet.client.results import (
    AuditVerification,
    CheckpointView,
    History,
    Page,
    RecoveryResult,
    RecoveryState,
    StartedWorkflow,
    View,
    WorkflowSummary,
    WorkflowView,
)
from ratchet.client.waiting import Patience, until_ended
from ratchet.domain.recovery import RecoveryOutcome
from ratchet.domain.workflow import WorkflowStatus

OUTCOME_WAIT = timedelta(seconds=30)
"""How long a manual action is followed up when its outcome was not known at first."""

OUTCOME_LOOK = timedelta(milliseconds=500)

Kind = TypeVar("Kind", bound=View)


class Client:
    """Talks to the admin API and the notifier. Open it once, use it from many tasks, close it at the end.

    Every method raises `Problem` when the API refuses and `ServerUnreachable` when there is no answer. Every POST
    carries an idempotency key: a method may be called again with the same `idempotency_key` and takes effect once.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._timing = timing or Timing()
        self._streams: WeakSet[NotificationStream] = WeakSet()
        self._calls = HttpCalls(endpoints, transport=transport, timing=self._timing)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, token: TokenSource | None = None) -> Self:
        """A client for the addresses and the token in the environment; see `endpoints_from`."""
        return cls(endpoints_from(environ, token=token))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections and every stream of notifications. Safe to repeat."""
        for stream in tuple(self._streams):
            await stream.close()
        await self._calls.close()

    async def start(
        self,
        definition: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's word
        *,
        workflow_id: UUID | None = None,
        version: int | None = None,
        owner_id: str | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> StartedWorkflow:
        """Begin a workflow; once this returns it is not lost. `owner_id` may be named by support and admins.

        The same `workflow_id` with the same content again changes nothing.
        """
        body = {
            "definition": definition,
            "input": dict(input or {}),
            "workflowId": None if workflow_id is None else str(workflow_id),
            "version": version,
            "ownerId": owner_id,
        }
        call = Call(
            "POST",
            "/workflows",
            {name: value for name, value in body.items() if value is not None},
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )
        return StartedWorkflow.model_validate((await self._calls.send(call)).body)

    async def get(self, workflow_id: UUID) -> WorkflowView:
        """One workflow as it stands."""
        return await self._get(WorkflowView, f"/workflows/{workflow_id}")

    async def list(
        self, filters: WorkflowFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> Page[WorkflowSummary]:
        """One page of workflows, newest first; `limit` is 1 to 200."""
        return await self._page(WorkflowSummary, "/workflows", query_of(filters or WorkflowFilter()), (cursor, limit))

    async def failed(
        self, filters: FailedFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> Page[WorkflowSummary]:
        """One page of failed workflows, for support and admins."""
        path = "/admin/workflows/failed"
        return await self._page(WorkflowSummary, path, query_of(filters or FailedFilter()), (cursor, limit))

    async def all_failed(self, filters: FailedFilter | None = None) -> AsyncIterator[WorkflowSummary]:
        """Every failed workflow, page after page."""
        cursor: str | None = None
        while True:
            page = await self.failed(filters, cursor=cursor, limit=200)
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def history(self, workflow_id: UUID) -> History:
        """Attempts, checkpoints and events of one workflow."""
        return await self._get(History, f"/workflows/{workflow_id}/history")

    async def checkpoints(
        self, workflow_id: UUID, *, cursor: str | None = None, limit: int = 50
    ) -> Page[CheckpointView]:
        """One page of what a workflow can be restored to, oldest first, for support and admins."""
        return await self._page(CheckpointView, f"/admin/workflows/{workflow_id}/checkpoints", {}, (cursor, limit))

    async def verify_audit(
        self, *, head_position: int | None = None, head_hash: str | None = None
    ) -> AuditVerification:
        """Check the audit log, for admins; against the head of an earlier check if that is given."""
        head = {"headPosition": head_position, "headHash": head_hash}
        given = {name: str(value) for name, value in head.items() if value is not None}
        query = f"?{urlencode(given)}" if given else ""
        return await self._get(AuditVerification, f"/admin/audit/verification{query}")

    async def recover(
        self, workflow_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """Let a Failed workflow go on from its newest intact checkpoint."""
        return await self._act(f"/workflows/{workflow_id}/recover", {"reason": reason}, idempotency_key)

    async def retry(
        self, workflow_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """Try the failed step again, with its full retries."""
        return await self._act(f"/workflows/{workflow_id}/steps/current/retry", {"reason": reason}, idempotency_key)

    async def skip(
        self, workflow_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """Go on without the failed step, which must be optional."""
        return await self._act(f"/workflows/{workflow_id}/steps/current/skip", {"reason": reason}, idempotency_key)

    async def cancel(
        self, workflow_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """End a workflow where it stands."""
        return await self._act(f"/workflows/{workflow_id}/cancel", {"reason": reason}, idempotency_key)

    async def pause(
        self, workflow_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """Hold a workflow before its next step."""
        return await self._act(f"/workflows/{workflow_id}/pause", {"reason": reason}, idempotency_key)

    async def resume(
        self, workflow_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """Let a paused workflow go on."""
        return await self._act(f"/workflows/{workflow_id}/resume", {"reason": reason}, idempotency_key)

    async def restore(
        self, workflow_id: UUID, checkpoint_seq: int, *, reason: str, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """Go back to a chosen checkpoint and on from there, for support and admins."""
        body = {"checkpointSeq": checkpoint_seq, "reason": reason}
        return await self._act(f"/admin/workflows/{workflow_id}/restore", body, idempotency_key)

    async def override(
        self, workflow_id: UUID, status: WorkflowStatus, *, reason: str, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """Set the status along the transition table, for admins."""
        body = {"status": status.value, "reason": reason}
        return await self._act(f"/admin/workflows/{workflow_id}/override", body, idempotency_key)

    async def wait(
        self,
        workflow_id: UUID,
        timeout: timedelta | None = None,
        *,
        appears_within: timedelta = timedelta(0),
    ) -> WorkflowView:
        """Return the workflow once it has ended (Completed, Cancelled or Failed).

        A workflow started over AMQP is unknown until an executor has accepted it; `appears_within` allows for that.

        Raises:
            WaitTimeout: it had not ended after `timeout`.
        """
        patience = Patience(timeout, appears_within)
        return await until_ended(partial(self.get, workflow_id), patience, sleep=self._timing.sleep)

    def notifications(
        self,
        *,
        after: int | None = None,
        everybody: bool = False,
        acknowledge: bool = False,
        on_reconnect: Callable[[ServerUnreachable], None] | None = None,
    ) -> NotificationStream:
        """Follow the caller's events, without end: reconnects by itself and goes on where it was.

        `after=0` begins at the start of the feed, another number after that event; without it the server begins after
        the last acknowledged event, or with what is new. `everybody` is for support and admins. With `acknowledge` an
        event counts as handled once the loop asks for the next one, so a handler that raises gets it again later.
        `on_reconnect` hears of each lost connection.

        Raises:
            NotRecovered: events after the cursor are no longer kept.
            Problem: the token is refused (401, 403).
        """
        following = Following(after=after, everybody=everybody, acknowledge=acknowledge, on_reconnect=on_reconnect)
        stream = NotificationStream(self._endpoints, following, timing=self._timing)
        self._streams.add(stream)
        return stream

    async def _get(self, kind: type[Kind], path: str) -> Kind:
        return kind.model_validate((await self._calls.send(Call("GET", path))).body)

    async def _page(self, kind: type[Kind], path: str, query: Query, where: tuple[str | None, int]) -> Page[Kind]:
        cursor, limit = where
        params = {**query, "limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        answer = await self._calls.send(Call("GET", path, params=params))
        return Page[kind].model_validate(answer.body)  # type: ignore[valid-type]  # a type only at run time

    async def _act(self, path: str, body: Mapping[str, Any], idempotency_key: str | None) -> RecoveryResult:
        given = {name: value for name, value in body.items() if value is not None}
        answer = await self._calls.send(Call("POST", path, given, idempotency_key=idempotency_key))
        if answer.status == httpx2.codes.ACCEPTED and answer.location is not None:
            return await self._outcome(urlsplit(answer.location).path)
        return RecoveryResult.model_validate(answer.body)

    async def _outcome(self, path: str) -> RecoveryState:
        """What came of an action that was taken but not done yet; looks for at most `OUTCOME_WAIT`."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        while True:
            state = RecoveryState.model_validate((await self._calls.send(Call("GET", path))).body)
            if state.success is False:
                raise _problem_of(state)
            if state.success or clock() - begun >= OUTCOME_WAIT.total_seconds():
                return state
            await self._timing.sleep(OUTCOME_LOOK.total_seconds())


def _problem_of(state: RecoveryState) -> Problem:
    refused = state.outcome == RecoveryOutcome.REFUSED
    members = {
        "type": state.problem or "recovery-failed",
        "title": "The action was refused" if refused else "The recovery failed",
        "detail": state.detail or "",
        "success": False,
        "recoveryId": state.recovery_id,
    }
    return Problem(httpx2.codes.CONFLICT if refused else httpx2.codes.INTERNAL_SERVER_ERROR, members)
