"""The `ratchet` command: start, look at and act on workflows, and check what they run on."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `exit_codes`). Errors are told in one or two lines."""
    from ratchet.cli.run import run

    return run(sys.argv[1:] if arguments is None else list(arguments))
