"""The command line of the local stack: `python -m local_stack up|down|reset|status|servers`."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from local_stack.detach import start_detached
from local_stack.down import down as end_stack
from local_stack.down import reset as delete_stack
from local_stack.down import status as show_status
from local_stack.errors import StackError
from local_stack.screen import Screen
from local_stack.up import SERVERS, UpOptions
from local_stack.up import up as run_stack

ROOT = Path(__file__).resolve().parents[2] / ".ratchet"

app = App(name="local_stack", help="Runs Ratchet and its servers on this machine.", version_flags=())
Root = Annotated[Path, Parameter(help="The stack's private folder.")]
Detach = Annotated[bool, Parameter(help="Return when everything is ready and leave it running.")]


@app.command
def up(*, root: Root = ROOT, detach: Detach = False, executors: int = 1) -> int:
    """Start servers and services and keep them running until Ctrl-C."""
    if detach:
        return start_detached(root, ["up", "--root", str(root), "--executors", str(executors)], Screen())
    return run_stack(root, UpOptions(executors=executors), Screen())


@app.command
def servers(*, root: Root = ROOT, detach: Detach = False) -> int:
    """Start only Postgres, RabbitMQ and Valkey, and keep them running until Ctrl-C."""
    if detach:
        return start_detached(root, ["servers", "--root", str(root)], Screen())
    return run_stack(root, UpOptions(what=SERVERS), Screen())


@app.command
def down(*, root: Root = ROOT) -> int:
    """Stop what `up` or `servers` started. The data is kept."""
    return end_stack(root, Screen())


@app.command
def reset(*, root: Root = ROOT) -> int:
    """Stop everything and delete its data."""
    return delete_stack(root, Screen())


@app.command
def status(*, root: Root = ROOT) -> int:
    """Show what runs. Exit code 1 when nothing does."""
    return show_status(root, Screen())


def main() -> int:
    """Runs one command and answers the exit code."""
    try:
        return int(app(result_action="return_value") or 0)
    except StackError as error:
        Screen().error(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
