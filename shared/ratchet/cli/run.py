"""One command from its words to its exit code."""

import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.verbs import build_app
from ratchet.domain.errors import RatchetError


def run(arguments: Sequence[str]) -> int:
    """Run one command; whatever goes wrong is told on standard error, without a traceback unless it is a defect."""
    try:
        # Without words there is nothing to do but to say what can be done.
        result = build_app()(list(arguments) or ["--help"], exit_on_error=False)
        sys.stdout.flush()
    except CycloptsError:
        return ExitCode.USAGE
    except RatchetError as error:
        from ratchet.cli.telling_errors import tell

        return tell(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, a pager) has seen enough. Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.CUT_OFF
    except SystemExit:
        # rich ends the process like this when the reader has seen enough; nothing else here does.
        return ExitCode.CUT_OFF
    return result if isinstance(result, int) else ExitCode.DONE
