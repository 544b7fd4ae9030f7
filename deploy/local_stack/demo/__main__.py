"""`python -m local_stack.demo`: shows the main job on real servers, and answers 0 only if all ended as it should."""

import sys
import time
from pathlib import Path

from ratchet.client import ClientError

from local_stack.demo.beside import run_beside
from local_stack.demo.board import Board, Row
from local_stack.demo.play import Play
from local_stack.demo.scenarios import SCENARIOS
from local_stack.demo.screen import DemoScreen
from local_stack.demo.stage import set_stage
from local_stack.errors import StackError
from local_stack.stop_signals import StopRequested, stop_on_signals

ROOT = Path(__file__).resolve().parents[3] / ".ratchet" / "demo"
INTERRUPTED = 130


def run(root: Path, screen: DemoScreen) -> int:
    """One demo. Answers 0 when every scenario ended as it should, else 1. Raises StackError when it cannot start."""
    began = time.monotonic()
    board = Board([Row(scenario) for scenario in SCENARIOS])
    with set_stage(root, screen.say) as stage:
        screen.say(f"All ready after {time.monotonic() - began:.1f} s.")
        with screen.showing(board):
            run_beside(Play(stage.platform, board, screen.tell).run())
        screen.summary(board)
        screen.verdict(board, stage.folder.logs)
        screen.say("Stopping …")
    return 0 if all(row.ended_well for row in board.rows) else 1


def main(root: Path = ROOT) -> int:
    """Runs the demo and answers the exit code."""
    screen = DemoScreen()
    try:
        with stop_on_signals():
            return run(root, screen)
    except StopRequested:
        screen.say("Stopped; nothing is left running.")
        return INTERRUPTED
    except ClientError as error:
        screen.say(f"{error}\nThe logs of servers and services are in {root}/logs", "bold red")
        return 1
    except StackError as error:
        screen.say(str(error), "bold red")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
