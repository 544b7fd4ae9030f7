"""The commands: what upstream services, users and Ratchet itself ask for, as they look on the wire."""

import hashlib
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ratchet import exact_json
from ratchet.domain.errors import MalformedMessage, StateNotStorable
from ratchet.domain.workflow import WorkflowStatus
from ratchet.state import canonical, encode_state

MAX_BULK = 1000


class WireModel(BaseModel):
    """camelCase on the wire, snake_case in Python; unknown fields are refused."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)


def _storable(value: Any) -> Any:
    try:
        encode_state(value)
    except StateNotStorable as error:
        raise ValueError(str(error)) from error
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_storable)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Reason = Annotated[str, Field(max_length=500)]


class StartWorkflow(WireModel):
    """Begin one workflow. The same id with the same content again changes nothing."""

    workflow_id: UUID
    definition: Name
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    owner_id: Name
    input: JsonObject = Field(default_factory=dict)

    def content_hash(self) -> bytes:
        """Tells a repeated start from another one under the same id."""
        content = [self.definition, self.version, self.owner_id, self.input]
        return hashlib.sha256(canonical(content)).digest()


class ExecuteStep(WireModel):
    """Drive a step that was declared to wait for a command."""

    workflow_id: UUID
    step_id: Name
    inputs: JsonObject = Field(default_factory=dict)


CONTINUE = "ContinueWorkflow"
"""The message type of `ContinueWorkflow`."""

GIVEN_UP = "StepGivenUp"
"""The message type of a dead letter that an executor sends itself, where there is no delivery to reject."""


class ContinueWorkflow(WireModel):
    """Internal: wake an executor of the right pool; the row says what is to be done."""

    workflow_id: UUID


class RecoveryCommand(StrEnum):
    """Commands of the recovery service; the value is the message type and the end of the routing key."""

    RESTART_SCAN = "RestartScan"
    RECOVER_WORKFLOW = "RecoverWorkflow"
    RESTORE_CHECKPOINT = "RestoreCheckpoint"
    RETRY_STEP = "RetryStep"
    SKIP_STEP = "SkipStep"
    CANCEL_WORKFLOW = "CancelWorkflow"
    PAUSE_WORKFLOW = "PauseWorkflow"
    RESUME_WORKFLOW = "ResumeWorkflow"
    OVERRIDE_STATUS = "OverrideStatus"


class RecoveryRequest(WireModel):
    """Body of every recovery command about one workflow. The message id is the recovery's id."""

    workflow_id: UUID
    actor: Name
    reason: Reason | None = None
    checkpoint_seq: Annotated[int, Field(ge=1)] | None = None
    status: WorkflowStatus | None = None
    failed_attempt: Annotated[int, Field(ge=0)] | None = None
    """The number of the failed attempt that was seen; another failure is refused."""
    if_match: Annotated[str, Field(max_length=1000)] | None = None
    """Marks of what was seen, as in the header of that name; another state is refused."""
    run_instead: Name | None = None
    """The step that may run in the place of the one that had failed, where the definition has changed."""


class RestartScan(WireModel):
    """Look for interrupted workflows."""

    reason: Reason = "on demand"


Wire = TypeVar("Wire", bound=WireModel)


def decode(kind: type[Wire], body: bytes) -> Wire:
    """Read one command.

    Raises:
        MalformedMessage: saying what is wrong and where.
    """
    try:
        content = exact_json.loads(body)
    except ValueError as error:
        name = "" if isinstance(error, exact_json.InexactJson) else "body: no JSON: "
        raise MalformedMessage(f"{name}{error}"[:500]) from error
    return validated(kind, content)


def validated(kind: type[Wire], content: Any) -> Wire:
    """Read one command whose JSON is parsed already; raises like `decode`."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise MalformedMessage(explain(error)) from error


def explain(error: ValidationError) -> str:
    """A validation error in one line, without echoing the input."""
    problems = [
        f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['msg']}"
        for item in error.errors(include_input=False, include_url=False)
    ]
    return "; ".join(problems)[:500]


def encode(command: WireModel) -> bytes:
    """The command's body, without fields that were left out."""
    return command.model_dump_json(by_alias=True, exclude_none=True).encode()
