"""Messages that nobody could act on: look at them, send them again, or give them up."""

# ruff: noqa: FAST003  # `ParkedId` holds the name

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query
from ratchet.recovery_ports import Settling
from starlette.responses import Response

from admin_api import cursors
from admin_api.access import Action
from admin_api.answers import Page
from admin_api.authenticate import Caller, CurrentCaller
from admin_api.bodies import StrictRoute
from admin_api.collaborators import Collaborators, With
from admin_api.once import Answer, Post
from admin_api.openapi import POST_PROBLEMS, problems
from admin_api.parameters import IdempotencyKey
from admin_api.problems import Problem, ProblemType
from admin_api.upkeep_answers import Parked, ParkedSettled
from admin_api.upkeep_requests import OptionalReasonRequest, ParkedQuery, ReasonRequest

if TYPE_CHECKING:
    from ratchet.adapters.postgres.parked_messages import ParkedMessage

router = APIRouter(prefix="/api/v1/admin/parked", tags=["parked messages"], route_class=StrictRoute)

ParkedId = Annotated[UUID, Path(alias="parkedId")]

SHOWS_WITHIN = timedelta(seconds=5)
"""So long a replay waits for what shows that it helped. Whatever comes later stands with the message."""

_OLDEST = "parkedAt"
_REPLAY, _DISCARD = "replay", "discard"


@router.get("", operation_id="listParked", summary="List parked messages", responses=problems(400, 403, 422))
async def list_parked(*, query: Annotated[ParkedQuery, Query()], caller: CurrentCaller, parts: With) -> Page[Parked]:
    """The longest parked first; open ones unless asked otherwise."""
    await parts.gate.admin(caller, action=Action.READ_PARKED)
    after = cursors.decode(query.cursor, order=_OLDEST)
    page, edge = await parts.upkeep.parked.page(resolved=query.resolved, after=after, limit=query.limit)
    return Page(items=[_shown(message) for message in page], next_cursor=cursors.encode(edge, order=_OLDEST))


@router.post(
    "/{parkedId}/replay",
    operation_id="replayParked",
    summary="Send a parked message again",
    response_model=ParkedSettled,
    responses=problems(404, *POST_PROBLEMS),
)
async def replay(
    *,
    parked_id: ParkedId,
    body: Annotated[OptionalReasonRequest | None, Body()] = None,
    caller: CurrentCaller,
    key: IdempotencyKey = None,
    parts: With,
) -> Response:
    """To where it came from, with fresh headers. The answer says whether that helped, if it shows in time."""
    await parts.gate.admin(caller, action=Action.REPLAY_PARKED)
    reason = None if body is None else body.reason
    return await _settled(parts, caller, key, (_REPLAY, parked_id, reason))


@router.post(
    "/{parkedId}/discard",
    operation_id="discardParked",
    summary="Give up a parked message",
    response_model=ParkedSettled,
    responses=problems(404, *POST_PROBLEMS),
)
async def discard(
    *, parked_id: ParkedId, body: ReasonRequest, caller: CurrentCaller, key: IdempotencyKey = None, parts: With
) -> Response:
    """Nothing more is to be done about it. It stays on record, with the reason."""
    await parts.gate.admin(caller, action=Action.DISCARD_PARKED)
    return await _settled(parts, caller, key, (_DISCARD, parked_id, body.reason))


async def _settled(
    parts: Collaborators, caller: Caller, key: str | None, wish: tuple[str, UUID, str | None]
) -> Response:
    what, parked_id, reason = wish
    settle = parts.upkeep.parked.replay if what == _REPLAY else parts.upkeep.parked.discard

    async def operation(_operation_id: UUID) -> Answer:
        refused = await settle(parked_id, Settling(caller.sub, reason, caller.correlation_id))
        if refused is not None:
            raise _problem(refused.value)
        if what == _DISCARD:
            answer = ParkedSettled(id=parked_id, resolution="discarded", outcome=None, reason=None)
        else:
            outcome, why = await parts.upkeep.parked.came_of(parked_id, within=SHOWS_WITHIN)
            answer = ParkedSettled(id=parked_id, resolution="replayed", outcome=outcome, reason=why)
        return Answer(200, answer.model_dump(mode="json", by_alias=True))

    post = Post(caller.sub, key, f"{what}-parked {parked_id}", {"reason": reason})
    return (await parts.once.run(post, operation)).response()


def _problem(refused: str) -> Problem:
    match refused:
        case "unknown":
            return Problem(ProblemType.NOT_FOUND, "No parked message has this id.")
        case "settled":
            return Problem(ProblemType.ALREADY_SETTLED, "This message was sent again or discarded before.")
        case _:
            return Problem(
                ProblemType.NOT_REPLAYABLE, "Its body is no text, so nobody could read it. It can be discarded."
            )


def _shown(message: "ParkedMessage") -> Parked:
    fields = {name: getattr(message, name) for name in message.__slots__}
    try:
        text, is_text = message.body.decode(), True
    except UnicodeDecodeError:
        text, is_text = base64.b64encode(message.body).decode(), False
    return Parked.model_validate(fields | {"body": text, "body_is_text": is_text})
