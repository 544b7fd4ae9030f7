"""The HTTP API as the dashboard uses it: within the process, with the person's own token, by the same rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from httpx2 import ASGITransport, AsyncClient
from starlette.types import ASGIApp

Json = dict[str, Any]
Query = Mapping[str, Any]

PREFIX = "/api/v1"


class Refused(Exception):
    """The API answered with a problem."""

    def __init__(self, problem: Json) -> None:
        super().__init__(str(problem.get("detail", "")))
        self.problem = problem

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.problem.get("status", 500))

    @property
    def kind(self) -> str:
        """The end of the problem's `type`."""
        return str(self.problem.get("type", "")).rpartition(":")[2]


def client_of(app: ASGIApp) -> AsyncClient:
    """Talks to the app without a network in between."""
    transport = ASGITransport(app=app, raise_app_exceptions=False)
    return AsyncClient(transport=transport, base_url="http://ratchet", trust_env=False)


@dataclass(frozen=True, slots=True)
class OwnApi:
    """The API in the name of one person, for one page."""

    http: AsyncClient
    token: str
    correlation_id: str

    async def get(self, path: str, query: Query | None = None) -> Json:
        """What the route answers. Parameters that are None or empty are left out.

        Raises:
            Refused: it answered with a problem.
        """
        given = {name: value for name, value in (query or {}).items() if value not in (None, "", [])}
        response = await self.http.get(PREFIX + path, params=given, headers=self._headers())
        return _answer(response.status_code, response.json())

    async def post(self, path: str, body: Json, *, key: str, if_match: str | None = None) -> Json:
        """Ask for something; the same key again is the same request.

        Raises:
            Refused: it answered with a problem.
        """
        headers = self._headers() | {"Idempotency-Key": key} | ({} if if_match is None else {"If-Match": if_match})
        response = await self.http.post(PREFIX + path, json=body, headers=headers)
        return _answer(response.status_code, response.json())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "X-Correlation-ID": self.correlation_id}


def _answer(status: int, document: Json) -> Json:
    if status >= 400:
        raise Refused({"status": status} | document)
    return document
