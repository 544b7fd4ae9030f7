"""Which workflows a list shows."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from pydantic.alias_generators import to_camel

from ratchet.domain.workflow import FailureKind, WorkflowStatus


class FailedSort(StrEnum):
    """Oldest failure first, or newest first."""

    OLDEST_FIRST = "failedAt"
    NEWEST_FIRST = "-failedAt"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFilter:
    """Of the workflows that the caller may see; any of `status`; `owner` is for support and admins."""

    status: tuple[WorkflowStatus, ...] = ()
    definition: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedFilter:
    """Of the failed workflows; `text` is looked for in the reason, `group` is a failure group's fingerprint."""

    definition: str | None = None
    step: str | None = None
    owner: str | None = None
    kind: FailureKind | None = None
    older_than: timedelta | None = None
    text: str | None = None
    group: str | None = None
    sort: FailedSort | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Of the audit log's entries; everything that is given must hold."""

    workflow_id: UUID | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None


def query_of(filters: WorkflowFilter | FailedFilter | AuditFilter) -> dict[str, str | Sequence[str]]:
    """The filter as query parameters, without what was left out."""
    named = {entry.name: getattr(filters, entry.name) for entry in fields(filters)}
    return {to_camel(name): _wire_value(value) for name, value in named.items() if value not in (None, ())}


def criteria_of(filters: FailedFilter) -> dict[str, str | Sequence[str]]:
    """Which failed workflows are meant, without their order, which means nothing to groups and bulk recoveries."""
    return query_of(replace(filters, sort=None))


def _wire_value(value: object) -> str | list[str]:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.3f}s"
    return [str(part) for part in value] if isinstance(value, tuple) else str(value)
