"""What is allowed and most likely not meant: settings that a person should hear of."""

import difflib
import re
from collections.abc import Mapping

from ratchet.settings import Settings

PREFIX = "RATCHET_"

# Read by others than the services: the command line, the local stack, compose.
_OF_OTHERS = re.compile(
    r"TOKEN|SERVERS|STACK|TAG|(API|NOTIFIER|EXECUTOR|RECOVERY)_(URL|PORT)|[A-Z0-9_]+_PID"
    r"|(EXECUTOR|RECOVERY|NOTIFIER|ADMIN_API)_[A-Z_]*(USER|PASSWORD|URL|PORT)[A-Z_]*"
)


def advice_on(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """One line for each thing, naming the variable."""
    advice = [_unknown(name) for name in sorted(environ) if name.startswith(PREFIX) and not _is_known(name)]
    if settings.stale_after < settings.lease:
        advice.append(
            "RATCHET_STALE_AFTER: is below RATCHET_LEASE, so work is taken for lost that an executor may still hold"
        )
    return advice


def _is_known(name: str) -> bool:
    short = name.removeprefix(PREFIX)
    return short.lower() in Settings.model_fields or _OF_OTHERS.fullmatch(short) is not None


def _unknown(name: str) -> str:
    names = [f"{PREFIX}{field.upper()}" for field in Settings.model_fields]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    return f"{name}: nobody reads it" + (f". Is {near[0]} meant?" if near else "")
