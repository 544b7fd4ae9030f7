"""Where in its author's code an error came from: files and lines, no locals, secrets masked, short enough to keep."""

import re
from collections.abc import Iterator
from types import TracebackType

from ratchet.domain.error_text import read
from ratchet.domain.masking import mask_secrets

MAX_TRACEBACK = 8_000
_CHAIN = 4
_MOST_FRAMES = 30
_OURS = frozenset({"ratchet", "executor"})
_RUNNING_IT = frozenset({"asyncio", "concurrent", "contextlib", "contextvars", "threading"})
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def traceback_of(error: BaseException) -> str | None:
    """The frames of whoever wrote the step and of what was called there, newest last; None where there are none.

    Each error of the chain is followed by its whole text: this is for those who mend the code, and may hold values.
    """
    try:
        parts = [_part(link) for link in _chain(error)]
    except BaseException:  # foreign code, asked for what it may refuse to say
        return None
    if not any(frames for frames, _text in parts):
        return None
    text = "\n\nCaused by:\n".join("\n".join([*frames, told]) for frames, told in parts)
    text = mask_secrets(_CONTROL.sub(" ", text))
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2 - 3
    return f"{text[:half]}\n…\n{text[-half:]}"


def frames_only(traceback: str | None) -> str | None:
    """The frames without what the errors said: that may hold values, which no log may."""
    if traceback is None:
        return None
    return "\n".join(line for line in traceback.splitlines() if line.startswith("  File ") or line == "Caused by:")


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_CHAIN):
        if link is None:
            return
        yield link
        suppressed = read(link, "__suppress_context__")
        following = read(link, "__cause__") or (None if suppressed else read(link, "__context__"))
        link = following if isinstance(following, BaseException) else None


def _part(error: BaseException) -> tuple[list[str], str]:
    frames = list(_frames(error.__traceback__))
    if len(frames) > _MOST_FRAMES:
        frames = [*frames[:5], f"  … {len(frames) - _MOST_FRAMES + 1} more", *frames[6 - _MOST_FRAMES :]]
    try:
        text = str(error)[: MAX_TRACEBACK // _CHAIN]
    except BaseException as problem:  # `__str__` is foreign code and may raise anything at all
        text = f"(its text could not be read: {type(problem).__name__})"
    return frames, f"{type(error).__name__}: {text}" if text else type(error).__name__


def _frames(link: TracebackType | None) -> Iterator[str]:
    while link is not None:
        frame = link.tb_frame
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in _OURS and package not in _RUNNING_IT:
            yield f'  File "{frame.f_code.co_filename}", line {link.tb_lineno}, in {frame.f_code.co_name}'
        link = link.tb_next
