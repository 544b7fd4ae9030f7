"""Which failed workflows are meant: the filter of the failed list and of a bulk recovery, under the same names."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

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


@dataclass(frozen=True, slots=True)
class BulkOrder:
    """Recover every failed workflow that the filter means; who wants it, and why."""

    wanted: FailedFilter
    actor: str
    reason: str
    canary: int
    correlation_id: str
