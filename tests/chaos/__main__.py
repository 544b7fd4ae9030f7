"""`python -m tests.chaos [fault …]`: breaks things while workflows run, then settles up: nothing lost, nothing twice.

Each fault gets a fresh platform (two executors, the other services once) on private servers. An upstream starts
workflows at a steady rate and follows all events, both with the client library; a tenth of the steps fails once. The
faults strike for a while, then stop; when everything is quiet, tables, queues, feed and the steps' own notes are held
against what was accepted.
"""

import argparse
import logging
import random
import sys
import time

from local_stack.servers import RunningServers, own_servers
from rich.console import Console

from tests.chaos.account import settle_up, wait_until_quiet
from tests.chaos.faults import BY_NAME, Fault
from tests.chaos.field import PROJECT, field_on, repeat_until
from tests.chaos.outside import outside_of
from tests.chaos.report import Row, keep_logs, line_of, table_of, write
from tests.harness.rabbitmqctl import is_ours

WARM_UP = 2.0
ACCEPTED_WITHIN = 60.0
EXIT_NOT_OURS = 2

NARROWEST = 110

console = Console()
console.width = max(console.width, NARROWEST)


def main() -> int:
    """Strike with the named faults (all without a name); 1 if a promise was broken."""
    arguments = _arguments()
    # The outside world's clients tell of every connection they lose, which is what is meant to happen here.
    logging.disable(logging.CRITICAL)
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
    console.print(f"[dim]seed {seed}: the same seed makes the same choices[/]")
    rows: list[Row] = []
    with own_servers(PROJECT / ".ratchet" / "chaos", say=lambda _text: None, fresh=True) as servers:
        if not is_ours(servers):
            console.print("Faults strike native servers of this project's own only: unset RATCHET_*_URL.")
            return EXIT_NOT_OURS
        for name in arguments.faults or BY_NAME:
            chance = random.Random(f"{seed}:{name}")
            with console.status(f"{name}: {BY_NAME[name].what}"):
                rows.append(_strike(servers, BY_NAME[name], chance, arguments))
            console.print(line_of(rows[-1]))
    console.print(table_of(rows))
    console.print(f"Written to {write(rows, seed).relative_to(PROJECT)}")
    return int(any(not row.account.holds for row in rows))


def _strike(servers: RunningServers, fault: Fault, chance: random.Random, arguments: argparse.Namespace) -> Row:
    began = time.monotonic()
    with field_on(servers, chance) as field, outside_of(field, arguments.rate) as outside:
        time.sleep(WARM_UP)
        strikes = repeat_until(time.monotonic() + arguments.seconds, lambda: fault.strike(field), pause=fault.pause)
        field.settle()
        all_accepted = outside.stop_starting(ACCEPTED_WITHIN)
        quiet_after = wait_until_quiet(field, outside.ledger)
        account = settle_up(field, outside.ledger, all_accepted=all_accepted, quiet_after=quiet_after)
        if not account.holds:
            keep_logs(field.platform.folder.logs, fault.name)
    return Row(fault.name, strikes, time.monotonic() - began, account)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="fault", help=", ".join(BY_NAME))
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each fault strikes (30)")
    parser.add_argument("--rate", type=float, default=30.0, help="workflows started a second (30)")
    parser.add_argument("--seed", type=int, help="makes the choices of an earlier run again")
    arguments = parser.parse_args()
    if unknown := set(arguments.faults) - set(BY_NAME):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
