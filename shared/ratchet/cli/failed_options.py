"""Which failed workflows are meant, as options on the command line."""

from dataclasses import dataclass, fields
from datetime import timedelta
from shlex import quote

from cyclopts import Parameter

from ratchet.cli.arguments import Age
from ratchet.client import FailedFilter, FailedSort
from ratchet.domain.workflow import FailureKind


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class FailedOptions:
    """Everything that is given must hold; nothing given means every failed workflow."""

    definition: str | None = None
    """Only those of this definition."""

    step: str | None = None
    """Only those that failed in this step."""

    owner: str | None = None
    """Only this person's."""

    kind: FailureKind | None = None
    """Only failures of this kind."""

    older_than: Age | None = None
    """Only those that failed longer ago: 90s, 15m, 2h."""

    text: str | None = None
    """Only those whose reason contains this."""

    group: str | None = None
    """Only those of this failure group (its fingerprint)."""

    def filter(self, sort: FailedSort | None = None) -> FailedFilter:
        """What the API is asked for."""
        return FailedFilter(
            definition=self.definition,
            step=self.step,
            owner=self.owner,
            kind=self.kind,
            older_than=self.older_than,
            text=self.text,
            group=self.group,
            sort=sort,
        )

    def words(self) -> list[str]:
        """The same options as words of a command line, quoted for the shell."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return [
            f"--{name.replace('_', '-')} {quote(_word(value))}" for name, value in given.items() if value is not None
        ]


def _word(value: object) -> str:
    return f"{value.total_seconds():g}s" if isinstance(value, timedelta) else str(value)
