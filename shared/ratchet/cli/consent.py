"""Before many things are changed at once: somebody must have said how many."""

import asyncio
import sys

from rich.text import Text

from ratchet.cli.screen import Screen
from ratchet.client.errors import InvalidCommand


async def agreed(total: int, *, expect: int | None, yes: bool, screen: Screen) -> bool:
    """Whether `total` is meant: as `--expect` says, with `--yes`, or typed on the terminal.

    Raises:
        InvalidCommand: nobody can be asked, or another number was expected.
    """
    if expect is not None:
        if expect != total:
            raise InvalidCommand(
                f"{total} workflows match now, not {expect}. Nothing was begun: look again with `ratchet bulk preview`"
            )
        return True
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InvalidCommand(
            f"{total} workflows match now. Say that you mean them: --expect {total} (or --yes, however many there are)"
        )
    screen.remark(Text(f"{total} failed workflows would be recovered. Type that number to begin:", style="bold"))
    return (await _typed_line()).strip() == str(total)


async def _typed_line() -> str:
    # Reading would block the loop, and Ctrl-C with it; a terminal is readable once a whole line was typed.
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()
