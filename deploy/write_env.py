"""Prints `.env.example` with a fresh password wherever one is missing: `python3 deploy/write_env.py > .env`."""
# ruff: noqa: INP001 - a script that runs before anything is installed, no package

import re
import secrets
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / ".env.example"


def filled(example: str) -> str:
    """The text with every empty value replaced; hexadecimal, so that it needs no quoting in a URL."""
    return re.sub(r"(?m)^\w+=$", lambda line: line[0] + secrets.token_hex(24), example)


if __name__ == "__main__":
    sys.stdout.write(filled(EXAMPLE.read_text()))
