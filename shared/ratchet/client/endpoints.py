"""Where Ratchet is and who is asking."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ratchet.client.errors import NotConfigured

TokenSource = Callable[[], str]
"""Gives a token that is valid now; it is asked again for each request and each connection."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of the admin API and the notifier, and the token to show there."""

    api_url: str
    notifier_url: str
    token: TokenSource = field(repr=False)


def endpoints_from(environ: Mapping[str, str] | None = None, *, token: TokenSource | None = None) -> Endpoints:
    """Read `RATCHET_API_URL`, `RATCHET_NOTIFIER_URL`, and `RATCHET_TOKEN` unless `token` is given.

    The addresses are by default this machine's, at the ports that the services use.

    Raises:
        NotConfigured: there is no token, or an address is none.
    """
    given = os.environ if environ is None else environ
    fixed = given.get("RATCHET_TOKEN", "").strip()
    if token is None and not fixed:
        raise NotConfigured("RATCHET_TOKEN is not set: put a token there (for development: `ratchet token`)")
    return Endpoints(
        api_url=_address(given, "RATCHET_API_URL", given.get("RATCHET_API_PORT", "8080")),
        notifier_url=_address(given, "RATCHET_NOTIFIER_URL", given.get("RATCHET_NOTIFIER_PORT", "8081")),
        token=token or (lambda: fixed),
    )


def is_loopback(url: str) -> bool:
    """Whether the address is this machine, where no proxy stands in between."""
    return urlsplit(url).hostname in LOOPBACK


def websocket_url(notifier_url: str) -> str:
    """The notifier's address with the scheme of a websocket."""
    parts = urlsplit(notifier_url)
    return parts._replace(scheme="wss" if parts.scheme == "https" else "ws").geturl()


def _address(environ: Mapping[str, str], name: str, port: str) -> str:
    url = environ.get(name) or f"http://127.0.0.1:{port}"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NotConfigured(f"{name} must be an address like http://127.0.0.1:{port}")
    return url.rstrip("/")
