"""Workflows whose process died again and again are tried in groups, so that a killer is found and innocents go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ratchet.domain.suspicion import group_size, is_last_chance

GATHER = 0.05
"""Seconds in which a dead process's messages arrive, before the first group is made of them."""
PATIENCE = 5.0
"""A group that has lived for so many seconds makes room for the next one; who is tried alone stays alone."""


@dataclass(eq=False, slots=True)
class Trial:
    """One suspect's."""

    alone: bool
    turn: "asyncio.Future[None]"
    group: "_Group | None" = None

    def acquit(self) -> None:
        """It has committed a step without its process dying."""
        if self.group is not None:
            self.group.leave(self)


@dataclass(eq=False, slots=True)
class _Group:
    court: "Suspects"
    size: int
    members: set[Trial] = field(default_factory=set)

    def leave(self, trial: Trial) -> None:
        trial.group = None
        self.members.discard(trial)
        if not self.members:
            self.court.end(self, passed=self.size)


class Suspects:
    """One for each executor."""

    def __init__(self, *, gather: float = GATHER, patience: float = PATIENCE) -> None:
        self._gather = gather
        self._patience = patience
        self._waiting: list[Trial] = []
        self._under_trial: _Group | None = None
        self._passed = 0
        self._is_called = False

    @asynccontextmanager
    async def trial(self, recoveries: int) -> AsyncIterator[Trial]:
        """Wait for a turn; it ends with the block, or at the acquittal."""
        trial = Trial(is_last_chance(recoveries), asyncio.get_running_loop().create_future())
        self._waiting.append(trial)
        self._call_soon()
        try:
            await trial.turn
            yield trial
        finally:
            if trial in self._waiting:
                self._waiting.remove(trial)
            trial.acquit()

    def end(self, group: _Group, *, passed: int) -> None:
        """A group has ended, or has had its time."""
        if self._under_trial is group:
            self._under_trial = None
            self._passed = passed
            self._begin()

    def _call_soon(self) -> None:
        if self._under_trial is None and not self._is_called:
            self._is_called = True
            asyncio.get_running_loop().call_later(self._gather, self._begin)

    def _begin(self) -> None:
        self._is_called = False
        if self._under_trial is not None:
            return
        together = [trial for trial in self._waiting if not trial.alone]
        chosen = together[: group_size(len(together), self._passed)] if together else self._waiting[:1]
        if not chosen:
            self._passed = 0
            return
        group = self._under_trial = _Group(self, len(chosen) if together else 0)
        for trial in chosen:
            self._waiting.remove(trial)
            trial.group = group
            group.members.add(trial)
            if not trial.turn.done():
                trial.turn.set_result(None)
        if together:
            # Nobody has died of it so far: what it takes longer is not worth the others' time.
            asyncio.get_running_loop().call_later(self._patience, self._make_room, group)

    def _make_room(self, group: _Group) -> None:
        self.end(group, passed=0)
