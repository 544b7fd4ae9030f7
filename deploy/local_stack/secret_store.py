"""The stack's own passwords and keys: made once, kept in one file that only its owner can read."""

import json
import secrets
from dataclasses import asdict, dataclass, fields

from local_stack.folder import StackFolder, read_json, write_private


@dataclass(frozen=True, slots=True)
class StackSecrets:
    """Everything secret that the stack makes up for itself."""

    postgres_password: str
    postgres_admin_password: str
    rabbitmq_password: str
    erlang_cookie: str
    valkey_password: str
    jwt_secret: str


def stack_secrets(folder: StackFolder) -> StackSecrets:
    """The folder's secrets; those that are missing are made and kept. Call it while the folder is held."""
    known = read_json(folder.secrets_file)
    names = [field.name for field in fields(StackSecrets)]
    # Hexadecimal, so that they need no quoting in URLs, SQL, configuration files and shells.
    complete = StackSecrets(**{name: str(known.get(name) or secrets.token_hex(24)) for name in names})
    if asdict(complete) != known:
        write_private(folder.secrets_file, json.dumps(asdict(complete), indent=2) + "\n")
    return complete
