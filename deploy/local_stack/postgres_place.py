"""Where Postgres can live: it refuses to run as root, and its own user must reach programs and data."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.launch import Account
from local_stack.wheels import packaged_program

ACCOUNT = "embedded_postgres"
# Everybody may write there, so what is found there is used only if it belongs to the current user.
OUTSIDE = Path("/var/tmp")  # noqa: S108 - a private folder is made below it


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """The folder with the programs, the data folder, and the system user to run as (None: the current one)."""

    programs: Path
    data: Path
    account: Account | None


def packaged_programs() -> Path:
    """The folder of the programs in the installed wheel. Raises StackError when this machine has none."""
    postgres = packaged_program("embedded_postgres", "pginstall/bin/postgres")
    if postgres is not None:
        return postgres.parent
    raise StackError(
        "No Postgres for this machine in the package `embedded-postgres`. Set RATCHET_DATABASE_URL to a server.",
        exit_code=2,
    )


def place_for(folder: StackFolder) -> PostgresPlace:
    """Decides where the folder's Postgres lives, makes its data folder and whatever it needs. Safe to repeat.

    Not root: inside the stack's folder. Root: likewise, run by an unprivileged user, if that user can reach it;
    else (a checkout in /root, say) in a private folder under /var/tmp. Permissions of folders that are
    not ours are never loosened.
    """
    programs = packaged_programs()
    inside = folder.data / "postgres"
    if os.geteuid() != 0:
        inside.mkdir(mode=0o700, exist_ok=True)
        return PostgresPlace(programs, inside, None)
    account = _account()
    _give(inside, account)
    if _can_use(account, programs, inside):
        return PostgresPlace(programs, inside, account)
    inside.rmdir()
    home = _private_home(folder)
    copied = _copied_programs(programs, home)
    _give(home / "data", account)
    if not _can_use(account, copied, home / "data"):
        raise StackError(
            f"The user {account.name} cannot run Postgres in {home} (is {OUTSIDE} mounted noexec?).\n"
            "Set RATCHET_DATABASE_URL to a Postgres server, or run this as an ordinary user.",
            exit_code=2,
        )
    return PostgresPlace(copied, home / "data", account)


def outside_home(folder: StackFolder) -> Path:
    """The folder that holds Postgres' data when the stack's own folder is out of its user's reach."""
    return OUTSIDE / f"ratchet-{folder.mark}"


def remove_outside_home(folder: StackFolder) -> None:
    """Deletes what `place_for` put outside the stack's folder. Safe to repeat."""
    home = outside_home(folder)
    if home.is_dir() and not home.is_symlink() and home.stat().st_uid == os.geteuid():
        shutil.rmtree(home)


def _account() -> Account:
    for attempt in (1, 2):
        try:
            entry = pwd.getpwnam(ACCOUNT)
            return Account(ACCOUNT, entry.pw_uid, entry.pw_gid)
        except KeyError:
            if attempt == 2:
                break
            command = [
                "useradd",
                "--system",
                "--user-group",
                "--no-create-home",
                "--shell",
                "/usr/sbin/nologin",
                ACCOUNT,
            ]
            try:
                # Another run may be making the same user: what counts is that it is there afterwards.
                subprocess.run(command, capture_output=True, check=False)
            except OSError:
                break
    raise StackError(
        f"Postgres does not run as root, and the system user {ACCOUNT} could not be made.\n"
        f"Run `useradd --system {ACCOUNT}`, or run this as an ordinary user, or set RATCHET_DATABASE_URL.",
        exit_code=2,
    )


def _give(data: Path, account: Account) -> None:
    data.mkdir(mode=0o700, exist_ok=True)
    if data.stat().st_uid != account.uid:
        for path in (data, *data.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _can_use(account: Account, programs: Path, data: Path) -> bool:
    script = 'test -w "$2" && "$1/postgres" --version'
    try:
        result = subprocess.run(
            ["/bin/sh", "-c", script, "sh", str(programs), str(data)],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return result.returncode == 0


def _private_home(folder: StackFolder) -> Path:
    home = outside_home(folder)
    home.mkdir(mode=0o711, exist_ok=True)
    # The parent is open to everybody, so somebody else may have made a folder of this name.
    if home.is_symlink() or home.stat().st_uid != os.geteuid():
        raise StackError(f"{home} belongs to somebody else: remove it, or set RATCHET_DATABASE_URL.")
    home.chmod(0o711)
    return home


def _copied_programs(programs: Path, home: Path) -> Path:
    package = programs.parent.parent
    target = home / "packages"
    copied = target / package.name / programs.parent.name / programs.name
    stamp = target / f"from-{package.stat().st_mtime_ns}"
    if stamp.exists():
        return copied
    shutil.rmtree(target, ignore_errors=True)
    ignore = shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__")
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, target / source.name, symlinks=True, ignore=ignore)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
    stamp.touch()
    return copied
