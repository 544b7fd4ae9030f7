"""Somebody in front of the dashboard, and a workflow that failed for them to look at."""

import re
import uuid
from typing import Any

import httpx2

from tests.integration.admin_api.admin_stage import EPOCH, Rows, token


class Browser:
    """Somebody in front of the dashboard: keeps cookies, fills in forms."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def sign_in(self, sub: str, *roles: str, **more: Any) -> httpx2.Response:
        return await self.http.post("/sign-in", data={"token": token(sub, *roles, **more), "next": "/"})

    async def get(self, path: str, **more: Any) -> httpx2.Response:
        return await self.http.get(path, **more)

    async def post(self, path: str, *, page: str, **fields: str) -> httpx2.Response:
        """Send the form of a page with these fields filled in."""
        return await self.http.post(path, data=hidden(await self.get(page), path) | fields)


def hidden(page: httpx2.Response, action: str) -> dict[str, str]:
    form = re.search(
        rf'<form(?=[^>]*method="post")[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page.text, re.DOTALL
    )
    assert form, page.text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[1]))


async def failed(rows: Rows, **columns: Any) -> uuid.UUID:
    fields = {"status": "Failed", "current_step": "survey", "current_step_index": 2, "failure_class": "TimeoutError"}
    workflow_id = await rows.workflow(**fields | columns)
    await rows.checkpoint(workflow_id, 1, index=0, state={"amount": 1})
    await rows.checkpoint(workflow_id, 2, index=1, parent=1, state={"amount": 2, "paid": True})
    await rows.failed_attempt(workflow_id, 1, at=EPOCH)
    return workflow_id
