"""Parameters that many routes share."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Path

# What is no UUID names no workflow, and is answered like any other name that nothing has: 404.
WorkflowId = Annotated[UUID, Path(alias="workflowId")]

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1000,
        description=(
            "The workflow's `ETag` as it was seen: if it stands elsewhere by now (it has failed anew, say), that is a "
            "409 `failure-changed`, and nothing is done."
        ),
    ),
]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        # Told, not checked here: what is malformed is a problem of its own kind.
        json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
        description=(
            "1 to 255 printable ASCII characters. The same key with the same request gives the same answer and no "
            "second effect, for 24 hours."
        ),
    ),
]
