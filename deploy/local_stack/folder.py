"""The private folder of one stack: where everything lies, who may read it, and who is using it now."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from local_stack.errors import StackError

OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class StackFolder:
    """Names every file of the stack that lives in `root` (an absolute path)."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> "StackFolder":
        """Makes the folder if it is missing. Other users may pass through it but not list it.

        Raises StackError when it cannot be made or belongs to another user. Safe to repeat.
        """
        folder = cls(root.expanduser().resolve())
        try:
            for path in (folder.root, folder.data, folder.logs):
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(0o711)
            with tempfile.TemporaryFile(dir=folder.root):
                pass
        except OSError as error:
            raise StackError(
                f"Cannot write to {folder.root}: {error.strerror}.\n"
                "It may have been made by another user (root?): run `make reset` as that user, or use another checkout."
            ) from error
        return folder

    @property
    def data(self) -> Path:
        """The data of the servers."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """One log for each server and service."""
        return self.root / "logs"

    @property
    def env_file(self) -> Path:
        """What one needs to talk to the running stack."""
        return self.root / "env"

    @property
    def ports_file(self) -> Path:
        """The private ports, kept from run to run."""
        return self.root / "ports.json"

    @property
    def secrets_file(self) -> Path:
        """The passwords and keys that the stack made for itself."""
        return self.root / "secrets.json"

    @property
    def processes(self) -> Path:
        """One record for each running process."""
        return self.root / "processes"

    @property
    def state_file(self) -> Path:
        """What the running stack tells about itself."""
        return self.root / "stack.json"

    @property
    def lock_file(self) -> Path:
        """Locked for as long as somebody uses the folder."""
        return self.root / "lock"

    @property
    def mark(self) -> str:
        """A short name for this folder, the same at every call, other than any other folder's."""
        return sha256(str(self.root).encode()).hexdigest()[:10]


def write_private(path: Path, content: str) -> None:
    """Replaces the file at once, readable by its owner only: a reader sees the old content or the new, never half."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w") as stream:
            os.fchmod(stream.fileno(), OWNER_ONLY)
            stream.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file; an empty one if it is missing or damaged (everything in it can be made anew)."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def exclusive(folder: StackFolder) -> Iterator[None]:
    """Holds the folder for this process alone. The kernel lets go of it however the process ends.

    Raises FolderInUse when another process holds it.
    """
    with folder.lock_file.open("a") as stream:
        folder.lock_file.chmod(OWNER_ONLY)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUseError(f"{folder.root} is in use by another run") from None
        yield


class FolderInUseError(StackError):
    """Another process runs a stack in this folder."""
