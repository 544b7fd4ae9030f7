"""Does several things at the same time and tells of the first that failed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait


def together(calls: Sequence[Callable[[], None]], on_trouble: Callable[[], None] = lambda: None) -> None:
    """Makes all calls at the same time, waits for every one of them, then raises the first error there was."""
    if not calls:
        return
    with ThreadPoolExecutor(max_workers=len(calls)) as threads:
        futures = [threads.submit(call) for call in calls]
        try:
            for future in futures:
                future.add_done_callback(lambda done: on_trouble() if done.exception() else None)
            wait(futures)
        except BaseException:
            on_trouble()
            raise
        for future in futures:
            future.result()
