"""The four services: does each answer, and is it ready?"""

import asyncio
from collections.abc import Mapping

import httpx2

from ratchet.cli.doctor.findings import Finding, Level

AREA = "Services"
SECONDS = 5.0

_PORTS = {"API": "8080", "NOTIFIER": "8081", "EXECUTOR": "8082", "RECOVERY": "8083"}


async def check_services(
    environ: Mapping[str, str], *, transport: httpx2.AsyncBaseTransport | None = None
) -> list[Finding]:
    """Ask every `/readyz` at once."""
    async with httpx2.AsyncClient(timeout=SECONDS, transport=transport, trust_env=False) as http:
        addresses = {name: _address(environ, name, port) for name, port in _PORTS.items()}
        return list(await asyncio.gather(*(_check(http, name, url) for name, url in addresses.items())))


def _address(environ: Mapping[str, str], name: str, port: str) -> str:
    own_port = environ.get(f"RATCHET_{name}_PORT") or port
    return (environ.get(f"RATCHET_{name}_URL") or f"http://127.0.0.1:{own_port}").rstrip("/")


async def _check(http: httpx2.AsyncClient, name: str, url: str) -> Finding:
    subject = "admin API" if name == "API" else name.lower()
    try:
        response = await http.get(f"{url}/readyz")
        answer = response.json()
        checks = {str(check): bool(passed) for check, passed in answer["checks"].items()}
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        advice = f"Start it (`make up` starts all), or set RATCHET_{name}_URL"
        return Finding(AREA, subject, Level.RED, f"no answer at {url} ({type(error).__name__})", advice)
    except (ValueError, KeyError, AttributeError, TypeError):
        found = f"something else answers at {url} ({response.status_code})"
        return Finding(AREA, subject, Level.RED, found, f"Another program has the port: set RATCHET_{name}_URL")
    failing = [check for check, passed in checks.items() if not passed]
    if failing or response.status_code != httpx2.codes.OK:
        reasons = answer.get("reasons") or {}
        told = [f"{check} ({reasons[check]})" if check in reasons else check for check in failing]
        found = f"not ready: {', '.join(told) or response.status_code}"
        return Finding(AREA, subject, Level.RED, found, "See its log; what it lacks is named here")
    return Finding(AREA, subject, Level.OK, f"ready at {url}")
