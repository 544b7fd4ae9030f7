"""Running handlers until they end: whatever one fails with, its message waits and is tried again.

No message is given up because of an error that nobody thought of. Only one that fails while others of its kind pass is
parked, whole, for a person to look at and to replay (see `ratchet.domain.patience`).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import structlog

from ratchet.domain.patience import Failing, failed
from ratchet.domain.trouble import Trouble, trouble_of
from ratchet.messages.envelope import Incoming, Settlement
from ratchet.observability.metrics import DeliveryMetrics
from ratchet.ports import ParkingLot

log = structlog.get_logger()

Handler = Callable[[Incoming], Awaitable[Settlement]]

STUCK_AFTER = 10.0
"""When nothing of a kind has got through for so many seconds, the service does not call itself ready."""


class KeepTrying:
    """All queues of one service."""

    def __init__(self, parking: ParkingLot, metrics: DeliveryMetrics) -> None:
        self._parking = parking
        self._metrics = metrics
        self._lanes: list[Lane] = []

    def lane(self, queue: str) -> "Lane":
        """For the deliveries of one queue."""
        lane = Lane(queue, self._parking, self._metrics)
        self._lanes.append(lane)
        return lane

    async def is_getting_through(self) -> bool:
        """A check for `/readyz`: no kind of message fails, one and all, for longer than a moment."""
        return not any(lane.is_stuck for lane in self._lanes)


class _Kind:
    """Deliveries with one routing key, while some of them fail."""

    def __init__(self) -> None:
        self.failing = 0
        self.passed_since: float | None = None
        """When the latest that passed had begun."""
        self.stuck_since = monotonic()


class Lane:
    """The deliveries of one queue."""

    def __init__(self, queue: str, parking: ParkingLot, metrics: DeliveryMetrics) -> None:
        self._queue = queue
        self._parking = parking
        self._set_aside = metrics.set_aside.labels(queue)
        self._failing = metrics.failing.labels(queue)
        # From the beginning: a series that begins with its first event shows no increase.
        self._failures = {kind: metrics.failures.labels(queue, kind.value) for kind in Trouble}
        self._kinds: dict[str, _Kind] = {}
        self._all_well = asyncio.Event()

    @property
    def is_stuck(self) -> bool:
        """Whether nothing of some kind has passed for a while, though there is some."""
        now = monotonic()
        return any(now - kind.stuck_since >= STUCK_AFTER for kind in self._kinds.values())

    async def handled(self, handler: Handler, message: Incoming) -> Settlement:
        """Run the handler, for ever if need be; it may be called again and again with the same message."""
        began = monotonic()
        try:
            settlement = await _run(handler, message)
        except Exception as error:  # whatever it is, the message must neither be lost nor be blamed
            return await self._try_again(handler, message, error)
        if self._kinds:
            self._passed(message.routing_key, began)
        return settlement

    async def _try_again(self, handler: Handler, message: Incoming, error: Exception) -> Settlement:
        key = message.routing_key
        kind = self._kinds.setdefault(key, _Kind())
        kind.failing += 1
        self._failing.inc()
        failing: Failing | None = None
        try:
            while True:
                failing = failed(failing, trouble_of(error), now=monotonic(), passed_since=kind.passed_since)
                pause = failing.pause(random.random())  # noqa: S311  # jitter
                self._report(message, failing, error, pause)
                if failing.is_to_be_set_aside and await self._park(message, failing, error):
                    return Settlement.ACK
                await self._pause(failing, pause)
                began = monotonic()
                try:
                    settlement = await _run(handler, message)
                except Exception as again:  # as above
                    error = again
                else:
                    self._passed(key, began)
                    return settlement
        finally:
            kind.failing -= 1
            if not kind.failing:
                del self._kinds[key]
            self._failing.dec()

    def _passed(self, key: str, began: float) -> None:
        kind = self._kinds.get(key)
        if kind is not None:
            kind.stuck_since = monotonic()
            kind.passed_since = max(began, kind.passed_since or began)
        # Whoever waits for a server need not wait any longer.
        self._all_well.set()
        self._all_well = asyncio.Event()

    async def _pause(self, failing: Failing, seconds: float) -> None:
        if failing.alone:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_well.wait()

    def _report(self, message: Incoming, failing: Failing, error: Exception, pause: float) -> None:
        self._failures[failing.trouble].inc()
        facts = {
            "queue": self._queue,
            "message_id": message.message_id,
            "routing_key": message.routing_key,
            "correlation_id": message.correlation_id,
            "trouble": failing.trouble.value,
            "tries": failing.tries,
            "retry_in": round(pause, 3),
        }
        if failing.trouble.is_outage:
            log.warning("message.waiting_for_server", error=_name(error), **facts)
        else:
            log.error("message.handler_failed", exc_info=error, **facts)

    async def _park(self, message: Incoming, failing: Failing, error: Exception) -> bool:
        compared = "" if failing.trouble is Trouble.CONTENT else " while others passed"
        seconds = failing.latest_at - failing.first_at
        reason = f"Set aside after {failing.tries} tries in {seconds:.0f} s{compared}: {_name(error)}"
        try:
            await self._parking.park(message, reason)
        except Exception as trouble:  # then it waits on, like before
            log.warning("message.not_set_aside", error=_name(trouble), message_id=message.message_id)
            return False
        self._set_aside.inc()
        log.error("message.set_aside", queue=self._queue, message_id=message.message_id, reason=reason)
        return True


async def _run(handler: Handler, message: Incoming) -> Settlement:
    try:
        return await handler(message)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody asked this task to end: what it waited for was cancelled by somebody else, as by a lost connection.
        raise ConnectionError("what the handler waited for was cancelled") from error


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
