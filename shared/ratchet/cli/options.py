"""The options that many commands share, and what is opened from them."""

import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from cyclopts import Group, Parameter

from ratchet.cli.screen import Screen

COMMON = Group.create_ordered("Options")


class Output(StrEnum):
    """Tables for people, JSON for programs."""

    TABLE = "table"
    JSON = "json"


class TokenRole(StrEnum):
    """What a token made on the fly may do."""

    USER = "user"
    SUPPORT = "support"
    ADMIN = "admin"


@Parameter(name="*", group=COMMON)
@dataclass(frozen=True, slots=True)
class Show:
    """How a command answers."""

    output: Annotated[Output, Parameter(name=("--output", "-o"))] = Output.TABLE
    """Tables, or JSON for programs."""

    def screen(self) -> Screen:
        """Where the answer goes."""
        return Screen(as_json=self.output is Output.JSON, stdout=sys.stdout, stderr=sys.stderr)


@Parameter(name="*", group=COMMON)
@dataclass(frozen=True, slots=True)
class Caller(Show):
    """How a command answers, and as whom it asks."""

    acting_as: Annotated[str | None, Parameter(name="--as")] = None
    """Ask as this person, with a development token made from RATCHET_JWT_SECRET (default: RATCHET_TOKEN, else you)."""

    role: TokenRole = TokenRole.ADMIN
    """The role in a development token."""
