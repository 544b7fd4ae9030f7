"""Commands that show how the platform stands: overview, breaker (support and admins)."""

from rich.text import Text

from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.upkeep_tables import overview_card, scan_card
from ratchet.client import Overview, ScanReport
from ratchet.domain.breaker import BreakerState

NO_CALLER = Caller()


async def overview(*, caller: Caller = NO_CALLER) -> ExitCode:
    """Show how the platform stands: workflows, messages, queues (support and admins)."""
    async with open_client(caller) as client:
        seen = await client.overview()
    caller.screen().answer(seen.to_json(), overview_card(seen), *_after_overview(seen))
    return ExitCode.DONE


async def breaker(*, caller: Caller = NO_CALLER) -> ExitCode:
    """Show whether the restart scan rescues, and what the last one did (support and admins)."""
    async with open_client(caller) as client:
        report = await client.scan_report()
    caller.screen().answer(report.to_json(), scan_card(report), *_after_scan(report))
    return ExitCode.DONE


def _after_overview(seen: Overview) -> list[Text]:
    steps = [
        (seen.failed, "What failed, and why: ratchet groups"),
        (seen.parked, "What is parked: ratchet parked list"),
        (not seen.broker_reachable, "What is wrong with the broker: ratchet doctor"),
    ]
    return [Text(line, style="dim") for due, line in steps if due]


def _after_scan(report: ScanReport) -> list[Text]:
    if report.breaker.state is BreakerState.CLOSED:
        return []
    return [Text("What fails again and again: ratchet groups. Once mended, the next probe closes it.", style="dim")]
