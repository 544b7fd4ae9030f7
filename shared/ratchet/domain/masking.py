"""Text without the credentials that may be in it."""

import re

_SECRETS = (
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*@"), "***@"),
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*"), "***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 ***"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization))([\"']?\s*[=:]\s*)[^\s,;&]+"
        ),
        r"\1\2***",
    ),
)


def mask_secrets(text: str) -> str:
    """The text with passwords, tokens and keys replaced by stars."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
