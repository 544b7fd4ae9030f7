"""What the local stack shows on the terminal."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from local_stack.folder import StackFolder
from local_stack.logins import token_for


class Screen:
    """Prints progress and results. A terminal that has gone away is no reason to fail: the work goes on."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """Shows one line of progress."""
        self._print(f"[dim]ratchet[/] {_plain(line)}")

    def error(self, text: str) -> None:
        """Shows what went wrong and what to do about it."""
        self._print(f"[bold red]ratchet[/] {_plain(text)}")

    def platform(self, folder: StackFolder, settings: Mapping[str, str]) -> None:
        """Shows where everything is and the ready-made logins."""
        notifier = settings["RATCHET_NOTIFIER_URL"].replace("http", "ws", 1)
        rows = [
            ("Dashboard", f"[bold cyan]{settings['RATCHET_API_URL']}/[/]"),
            ("HTTP API", f"{settings['RATCHET_API_URL']}/api/v1"),
            ("Push", f"{notifier}/ws"),
            ("Settings", _shown(folder.env_file)),
            ("Logs", f"{_shown(folder.logs)}/"),
            ("Stop", "Ctrl-C here, or `make down`"),
        ]
        self._print(Panel(_grid(rows), title="Ratchet is running", border_style="green", expand=False))
        if settings.get("RATCHET_JWT_SECRET"):
            for subject, role in (("admin", "admin"), ("sarah", "user")):
                # Outside the frame and unwrapped, so that it can be copied in one go.
                token = token_for(subject, [role], settings)
                self._print(
                    f"Login as [bold]{subject}[/] ({role}), valid for a week: the token, and a link that uses it"
                )
                self.raw(f"{token}\n")
                # What follows # stays in the browser: it is in no log.
                self.raw(f"{settings['RATCHET_API_URL']}/sign-in#token={token}\n")

    def servers(self, settings: Mapping[str, str]) -> None:
        """Shows where the servers are, as lines that can be copied into a shell."""
        for name, value in settings.items():
            self.raw(f"{name}={value}\n")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Shows rows under column headings."""
        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._print(table)

    def raw(self, text: str) -> None:
        """Shows text as it is, colours included."""
        with contextlib.suppress(OSError):
            self._console.file.write(text)
            self._console.file.flush()

    def _print(self, what: object) -> None:
        with contextlib.suppress(OSError):
            self._console.print(what)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(f"[dim]{name}[/]", value)
    return grid


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
