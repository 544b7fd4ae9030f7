"""Answers on the terminal: tables and colours for people, JSON for programs, remarks on standard error."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 160
"""Lines in a file or a pipe need not be folded at 80 columns."""


class Screen:
    """Where a command writes. `NO_COLOR` and pipes are respected."""

    def __init__(self, *, as_json: bool, stdout: TextIO, stderr: TextIO) -> None:
        self.as_json = as_json
        self._stdout = stdout
        self.console = console_on(stdout)
        self._remarks = console_on(stderr)

    @property
    def is_live(self) -> bool:
        """Whether the answer may redraw itself."""
        return not self.as_json and self.console.is_terminal

    def answer(self, data: Mapping[str, Any] | Sequence[Any], *lines: RenderableType) -> None:
        """The whole answer: `data` for programs, `lines` for people."""
        if self.as_json:
            self._write(json.dumps(data, indent=2, default=str))
        else:
            for line in lines:
                _print(self.console, line)

    def item(self, data: Mapping[str, Any], line: RenderableType) -> None:
        """One line of an answer that goes on; in JSON every item is a line of its own."""
        if self.as_json:
            self._write(json.dumps(data, default=str))
        else:
            self.line(line)

    def line(self, line: RenderableType) -> None:
        """One more line for people."""
        _print(self.console, line)

    def remark(self, line: RenderableType) -> None:
        """Something beside the answer."""
        _print(self._remarks, line)

    def _write(self, text: str) -> None:
        self._stdout.write(text + "\n")
        self._stdout.flush()


def _print(console: Console, line: RenderableType) -> None:
    # The terminal folds sentences, so that what is copied has no line breaks in it; tables fold their own cells.
    console.print(line, soft_wrap=isinstance(line, str | Text))


def console_on(stream: TextIO) -> Console:
    """A console without markup: what servers say is shown as it is."""
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console
