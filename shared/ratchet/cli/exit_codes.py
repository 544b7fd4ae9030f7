"""What the shell is told when a command ends; `ratchet --help` shows the same list."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Stable: scripts rely on them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    UNKNOWN = 5
    CANCELLED = 6
    INTERRUPTED = 130
    CUT_OFF = 141


EXIT_CODE_HELP = """
Exit codes: 0 done · 1 the workflow or something in a bulk recovery failed, the doctor found something red, or the audit
log was tampered with · 2 wrong usage or settings · 3 refused, or would be (not found, not allowed, wrong state) ·
4 a server is away or failed · 5 the outcome is not known yet · 6 it was cancelled ·
130 interrupted · 141 the reader of the output left
"""
