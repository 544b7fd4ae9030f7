"""Which failed workflows are meant: the filter of the failed list and of a bulk recovery, under the same names."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema

from ratchet.domain.errors import RatchetError
from ratchet.domain.workflow import FailureKind
from ratchet.messages.commands import Name, WireModel
from ratchet.settings import parse_duration

MAX_AGE = timedelta(days=36_500)


def _age(value: Any) -> Any:
    try:
        return parse_duration(value)
    except OverflowError as error:
        raise ValueError("longer than anything is kept") from error


_AGE_SCHEMA = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h)?\s*$"}],
    "examples": ["15m"],
}
Age = Annotated[
    timedelta, BeforeValidator(_age), Field(ge=timedelta(0), le=MAX_AGE), WithJsonSchema(_AGE_SCHEMA, mode="validation")
]


class FailedFilter(WireModel):
    """Everything that is given must hold; nothing given means every failed workflow."""

    definition: Name | None = Field(None, description="Name of the workflow definition.")
    step: Name | None = Field(None, description="Id of the step that failed.")
    owner: Name | None = Field(None, description="The owner's id.")
    kind: FailureKind | None = Field(None, description="Kind of failure.")
    older_than: Age | None = Field(
        None, description="Failed longer ago than this: `500ms`, `15s`, `5m`, `1h`, or a number of seconds."
    )
    text: Name | None = Field(None, description="Part of the failure reason, taken literally, in any case.")
    group: Name | None = Field(None, description="Fingerprint of a failure group.")


MAX_SELECTED = 1000
"""How many workflows a bulk recovery may name one by one."""

MAX_RATE = 1000
"""The most that a bulk recovery may be asked to begin in a second."""


class UnknownGroup(RatchetError):
    """The filter names a failure group that no failed workflow belongs to, or ever belonged to."""


class SelectionChanged(RatchetError):
    """Another number of workflows is meant than was expected; nothing was begun."""

    def __init__(self, total: int, expected: int) -> None:
        super().__init__(f"{total} workflows are meant now, not {expected}")
        self.total = total


@dataclass(frozen=True, slots=True)
class BulkOrder:
    """Recover every failed workflow that the filter means, or these very ones; who wants it, and why.

    With `expected` only if it is so many; at most `rate` of them in a second.
    """

    wanted: FailedFilter
    actor: str
    reason: str
    canary: int
    correlation_id: str
    workflow_ids: tuple[UUID, ...] = ()
    expected: int | None = None
    rate: int | None = None

    def selection(self) -> dict[str, Any]:
        """What is meant, for whoever reads of it: a filter, the ids, or all."""
        if self.workflow_ids:
            return {"workflowIds": [str(each) for each in self.workflow_ids]}
        return self.wanted.model_dump(mode="json", by_alias=True, exclude_none=True) or {"all": True}
