"""Questions and wishes to the admin API, typed; a wish whose outcome is not known at first is followed up."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from ratchet.client.errors import Problem
from ratchet.client.http_calls import Call, HttpCalls, Query, Timing
from ratchet.client.results import Page, RecoveryResult, RecoveryState, View
from ratchet.domain.recovery import RecoveryOutcome

OUTCOME_WAIT = timedelta(seconds=30)
"""How long a manual action is followed up when its outcome was not known at first."""

OUTCOME_LOOK = timedelta(milliseconds=500)

Kind = TypeVar("Kind", bound=View)


@dataclass(frozen=True, slots=True)
class Where:
    """Which page of a list: after `cursor`, with at most `limit` entries (1 to 200)."""

    cursor: str | None = None
    limit: int = 50


class Asking:
    """What every group of the client's methods asks with."""

    def __init__(self, calls: HttpCalls, timing: Timing) -> None:
        self._calls = calls
        self._timing = timing

    async def get(self, kind: type[Kind], path: str, params: Mapping[str, object] | None = None) -> Kind:
        """One thing; parameters that are None are left out."""
        call = Call("GET", path, params={name: str(value) for name, value in _given(params or {}).items()})
        return kind.model_validate((await self._calls.send(call)).body)

    async def etag(self, path: str) -> str | None:
        """The mark of a thing as it is now; None where looking is refused: acting is, too, in words of its own."""
        try:
            body = (await self._calls.send(Call("GET", path))).body
        except Problem as problem:
            if problem.status >= httpx2.codes.INTERNAL_SERVER_ERROR:
                raise
            return None
        etag = body.get("etag") if isinstance(body, dict) else None
        return etag if isinstance(etag, str) else None

    async def page(self, kind: type[Kind], path: str, query: Query, where: Where) -> Page[Kind]:
        """One page of a list."""
        params = {**query, "limit": str(where.limit)} | ({} if where.cursor is None else {"cursor": where.cursor})
        answer = await self._calls.send(Call("GET", path, params=params))
        return Page[kind].model_validate(answer.body)  # type: ignore[valid-type]  # a type only at run time

    async def post(self, kind: type[Kind], path: str, body: Mapping[str, Any], key: str | None) -> Kind:
        """Something that is taken at once; members that are None are left out."""
        return kind.model_validate((await self._calls.send(Call("POST", path, _given(body), idempotency_key=key))).body)

    async def act(
        self, path: str, body: Mapping[str, Any], key: str | None, *, if_match: str | None = None
    ) -> RecoveryResult:
        """An action on one workflow; with `if_match` only as it was seen.

        Raises:
            Problem: it was refused or failed, at once or later.
        """
        answer = await self._calls.send(Call("POST", path, _given(body), idempotency_key=key, if_match=if_match))
        if answer.status == httpx2.codes.ACCEPTED and answer.location is not None:
            return await self._outcome(urlsplit(answer.location).path)
        return RecoveryResult.model_validate(answer.body)

    async def pause(self, duration: timedelta) -> None:
        """Wait before the next look."""
        await self._timing.sleep(duration.total_seconds())

    async def _outcome(self, path: str) -> RecoveryState:
        """What came of an action that was taken but not done yet; looks for at most `OUTCOME_WAIT`."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        while True:
            state = await self.get(RecoveryState, path)
            if state.success is False:
                raise _problem_of(state)
            if state.success or clock() - begun >= OUTCOME_WAIT.total_seconds():
                return state
            await self.pause(OUTCOME_LOOK)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


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
