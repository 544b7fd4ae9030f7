"""Idempotency keys on every POST: the effect happens once, and the same answer is given again."""

import asyncio
import hashlib
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ratchet.problem_documents import MEDIA_TYPE
from starlette.responses import JSONResponse, Response

from admin_api.problems import Problem, ProblemType

if TYPE_CHECKING:
    from ratchet.adapters.postgres.idempotency import IdempotencyKeys, KeyedRequest

KEPT = timedelta(hours=24)
"""How long a key's answer is remembered at least."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_LOOK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST answers: kept under its key, so plain JSON."""

    status: int
    body: dict[str, Any]
    location: str | None = None
    replayed: bool = field(default=False, compare=False)

    def response(self) -> Response:
        """The answer on the wire."""
        headers: dict[str, str] = {}
        if self.location is not None:
            headers["Location"] = self.location
        if self.replayed:
            headers["Idempotent-Replayed"] = "true"
        media_type = MEDIA_TYPE if self.status >= 400 else "application/json"
        return JSONResponse(self.body, self.status, headers=headers, media_type=media_type)


@dataclass(frozen=True, slots=True)
class Post:
    """One POST as far as repetition goes: who, under which key, what."""

    principal: str
    key: str | None
    route: str
    body: Mapping[str, Any]


Operation = Callable[[UUID], Awaitable[Answer]]
"""Does the work under the given id and must be safe to repeat under the same id.

Raises:
    Problem: nothing was done, and the key is free again. Anything else: the next try goes on under the same id.
"""


class OnceOnly:
    """Runs operations, each at most once per principal and key."""

    def __init__(self, keys: "IdempotencyKeys", *, longest: timedelta) -> None:
        """`longest` is how long an operation may take; a claim outlasts it, so that two never run at once."""
        self._keys = keys
        self._longest = longest

    async def run(self, post: Post, operation: Operation) -> Answer:
        """The operation's answer, or the one it had before.

        Raises:
            Problem: what the operation raises; 400, 409 or 422 for the key itself.
        """
        if post.key is None:
            return await operation(uuid.uuid4())
        if not _KEY.fullmatch(post.key):
            raise Problem(
                ProblemType.INVALID_IDEMPOTENCY_KEY,
                "Use 1 to 255 printable ASCII characters without spaces, such as a UUID.",
            )
        request = self._keys.request(
            principal=post.principal, key=post.key, route=post.route, body_hash=_digest(post.body)
        )
        claim = await self._claim(request)
        if isinstance(claim, Answer):
            return claim
        return await self._carry_out(request, claim, operation)

    async def _carry_out(self, request: "KeyedRequest", operation_id: UUID, operation: Operation) -> Answer:
        try:
            answer = await operation(operation_id)
            kept = {"body": answer.body, "location": answer.location}
            await self._keys.finish(request, operation_id, answer.status, kept)
        except Problem:
            await self._keys.forget(request, operation_id)
            raise
        except BaseException:
            # Cancelled, or a server went away in the middle: whoever comes next goes on under the same id.
            await asyncio.shield(self._keys.let_go(request, operation_id))
            raise
        return answer

    async def _claim(self, request: "KeyedRequest") -> Answer | UUID:
        deadline = asyncio.get_running_loop().time() + self._longest.total_seconds()
        while True:
            claim = await self._keys.claim(request, hold=self._longest * 2)
            if claim.reused:
                raise Problem(
                    ProblemType.IDEMPOTENCY_KEY_REUSED,
                    "This key was used for another route or body. Take a new key for a new request.",
                )
            if claim.operation_id is not None:
                return claim.operation_id
            if claim.status is not None and claim.answer is not None:
                return Answer(claim.status, claim.answer["body"], claim.answer["location"], replayed=True)
            if asyncio.get_running_loop().time() >= deadline:
                raise Problem(
                    ProblemType.REQUEST_IN_PROGRESS,
                    "The first request under this key has no answer yet. Send the same one again in a moment.",
                    headers={"Retry-After": "2"},
                )
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def _digest(body: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(dict(body), sort_keys=True, default=str).encode()).digest()
