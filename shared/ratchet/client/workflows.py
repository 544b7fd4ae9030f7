"""The client of the admin API: start workflows, look at them, act on them, wait for them."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID
from weakref import WeakSet

import httpx2

from ratchet.client.asking import Asking, Where
from ratchet.client.auditing import AuditLog
from ratchet.client.bulk import BulkRecoveries
from ratchet.client.endpoints import Endpoints, TokenSource, endpoints_from
from ratchet.client.errors import ServerUnreachable
from ratchet.client.filters import FailedFilter, WorkflowFilter, criteria_of, query_of
from ratchet.client.http_calls import Call, HttpCalls, Timing
from ratchet.client.notifications import Following, NotificationStream, Place
from ratchet.client.parked import ParkedMessages
from ratchet.client.results import (
    CheckpointView,
    History,
    Page,
    RecoveryResult,
    RecoveryState,
    StartedWorkflow,
    WorkflowSummary,
    WorkflowView,
)
from ratchet.client.seen import NOW, Seen
from ratchet.client.upkeep_results import FailureGroup, Overview, RestorePreview, ScanReport, ScanRequested
from ratchet.client.waiting import Patience, until_ended
from ratchet.domain.workflow import WorkflowStatus


class Client:
    """Talks to the admin API and the notifier. Open it once, use it from many tasks, close it at the end.

    Bulk recoveries are in `bulk`, parked messages in `parked`, the audit log in `audit`.

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
        self._asking = Asking(self._calls, self._timing)
        self.bulk = BulkRecoveries(self._asking)
        self.parked = ParkedMessages(self._asking)
        self.audit = AuditLog(self._asking)

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
        return await self._asking.get(WorkflowView, f"/workflows/{workflow_id}")

    async def list(
        self, filters: WorkflowFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> Page[WorkflowSummary]:
        """One page of workflows, newest first; `limit` is 1 to 200."""
        return await self._asking.page(
            WorkflowSummary, "/workflows", query_of(filters or WorkflowFilter()), Where(cursor, limit)
        )

    async def failed(
        self,
        filters: FailedFilter | None = None,
        *,
        archived: bool = False,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[WorkflowSummary]:
        """One page of failed workflows, for support and admins; of the `archived` ones instead if so wanted."""
        query = query_of(filters or FailedFilter()) | ({"archived": "true"} if archived else {})
        return await self._asking.page(WorkflowSummary, "/admin/workflows/failed", query, Where(cursor, limit))

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
        return await self._asking.get(History, f"/workflows/{workflow_id}/history")

    async def checkpoints(
        self, workflow_id: UUID, *, cursor: str | None = None, limit: int = 50
    ) -> Page[CheckpointView]:
        """One page of what a workflow can be restored to, oldest first, for support and admins."""
        return await self._asking.page(
            CheckpointView, f"/admin/workflows/{workflow_id}/checkpoints", {}, Where(cursor, limit)
        )

    async def recovery(self, workflow_id: UUID, recovery_id: str) -> RecoveryState:
        """What came of one recovery or other manual action, by the id that its result had."""
        return await self._asking.get(RecoveryState, f"/workflows/{workflow_id}/recoveries/{recovery_id}")

    async def preview_restore(self, workflow_id: UUID, checkpoint_seq: int | None = None) -> RestorePreview:
        """What `restore` would do, or without a checkpoint `recover`; for support and admins. Nothing is done."""
        path = f"/admin/workflows/{workflow_id}/restore-preview"
        return await self._asking.get(RestorePreview, path, {"checkpointSeq": checkpoint_seq})

    async def failure_groups(
        self, filters: FailedFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> Page[FailureGroup]:
        """One page of failures that look alike, the largest group first, for support and admins."""
        query = criteria_of(filters or FailedFilter())
        return await self._asking.page(FailureGroup, "/admin/failure-groups", query, Where(cursor, limit))

    async def overview(self) -> Overview:
        """How the platform stands: counts and queues, for support and admins."""
        return await self._asking.get(Overview, "/admin/overview")

    async def scan_report(self) -> ScanReport:
        """How the restart scan stands, for support and admins."""
        return await self._asking.get(ScanReport, "/admin/scan")

    async def request_scan(self, *, reason: str | None = None, idempotency_key: str | None = None) -> ScanRequested:
        """Look for interrupted workflows now, for admins. Safe to repeat."""
        return await self._asking.post(ScanRequested, "/admin/scan", {"reason": reason}, idempotency_key)

    async def recover(
        self,
        workflow_id: UUID,
        *,
        reason: str | None = None,
        seen: Seen = NOW,
        run_instead: str | None = None,
        idempotency_key: str | None = None,
    ) -> RecoveryResult:
        """Let a Failed workflow go on from its newest intact checkpoint; only from the failure that was `seen`.

        Where the definition has changed under its version, `run_instead` names the step that may run in the place of
        the one that had failed.
        """
        body = {"reason": reason, "runInstead": run_instead}
        return await self._act_on_failure(workflow_id, "recover", body, seen, idempotency_key)

    async def retry(
        self,
        workflow_id: UUID,
        *,
        reason: str | None = None,
        seen: Seen = NOW,
        run_instead: str | None = None,
        idempotency_key: str | None = None,
    ) -> RecoveryResult:
        """Try the failed step again, with its full retries; only for the failure that was `seen`."""
        body = {"reason": reason, "runInstead": run_instead}
        return await self._act_on_failure(workflow_id, "steps/current/retry", body, seen, idempotency_key)

    async def skip(
        self,
        workflow_id: UUID,
        *,
        reason: str | None = None,
        seen: Seen = NOW,
        idempotency_key: str | None = None,
    ) -> RecoveryResult:
        """Go on without the failed step, which must be optional; only for the failure that was `seen`."""
        body = {"reason": reason}
        return await self._act_on_failure(workflow_id, "steps/current/skip", body, seen, idempotency_key)

    async def _act_on_failure(
        self, workflow_id: UUID, route: str, body: Mapping[str, Any], seen: Seen, key: str | None
    ) -> RecoveryResult:
        if_match = seen.etag
        if seen == NOW:
            if_match = await self._asking.etag(f"/workflows/{workflow_id}")
        members = {**body, "failedAttempt": seen.failed_attempt}
        return await self._asking.act(f"/workflows/{workflow_id}/{route}", members, key, if_match=if_match)

    async def cancel(
        self, workflow_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """End a workflow where it stands."""
        return await self._asking.act(f"/workflows/{workflow_id}/cancel", {"reason": reason}, idempotency_key)

    async def pause(
        self, workflow_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> RecoveryResult:
        """Hold a workflow before its next step."""
        return await self._asking.act(f"/workflows/{workflow_id}/pause", {"reason": reason}, idempotency_key)

    async def resume(
        self,
        workflow_id: UUID,
        *,
        reason: str | None = None,
        run_instead: str | None = None,
        idempotency_key: str | None = None,
    ) -> RecoveryResult:
        """Let a paused workflow go on."""
        body = {"reason": reason, "runInstead": run_instead}
        return await self._asking.act(f"/workflows/{workflow_id}/resume", body, idempotency_key)

    async def restore(
        self,
        workflow_id: UUID,
        checkpoint_seq: int,
        *,
        reason: str,
        run_instead: str | None = None,
        idempotency_key: str | None = None,
    ) -> RecoveryResult:
        """Go back to a chosen checkpoint and on from there, for support and admins."""
        body = {"checkpointSeq": checkpoint_seq, "reason": reason, "runInstead": run_instead}
        return await self._asking.act(f"/admin/workflows/{workflow_id}/restore", body, idempotency_key)

    async def override(
        self,
        workflow_id: UUID,
        status: WorkflowStatus,
        *,
        reason: str,
        run_instead: str | None = None,
        idempotency_key: str | None = None,
    ) -> RecoveryResult:
        """Set the status along the transition table, for admins."""
        body = {"status": status.value, "reason": reason, "runInstead": run_instead}
        return await self._asking.act(f"/admin/workflows/{workflow_id}/override", body, idempotency_key)

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
        after: Place = None,
        everybody: bool = False,
        acknowledge: bool = False,
        on_reconnect: Callable[[ServerUnreachable], None] | None = None,
    ) -> NotificationStream:
        """Follow the caller's events, without end: reconnects by itself and goes on where it was.

        `after=0` begins at the start of the feed, another number after that event, `after="newest"` with what is new;
        without it the server begins after the last acknowledged event, or with the oldest one that it keeps.
        `everybody` is for support and admins. With `acknowledge` an event counts as handled once the loop asks for the
        next one, so a handler that raises gets it again later. `on_reconnect` hears of each lost connection.

        Raises:
            NotRecovered: events after the cursor are no longer kept.
            Problem: the token is refused (401, 403).
        """
        following = Following(after=after, everybody=everybody, acknowledge=acknowledge, on_reconnect=on_reconnect)
        stream = NotificationStream(self._endpoints, following, timing=self._timing)
        self._streams.add(stream)
        return stream
