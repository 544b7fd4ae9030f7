"""The inbox: what needs attention, oldest first, as a list or in groups; and everything else in tabs."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from admin_api.dashboard.own_api import Json, Refused
from admin_api.dashboard.visit import Visit

FILTERS = ("definition", "step", "owner", "kind", "olderThan", "text", "group")
STATUSES: Mapping[str, list[str]] = {
    "running": ["NotStarted", "InProgress", "Executing"],
    "paused": ["Paused"],
    "all": [],
}
PAGE = 50
NEWS_SHOWN = 100
LOOKED_UP = 10
"""Rows that left the list are looked up one by one, at most so many at a time."""


async def inbox(visit: Visit) -> Response:
    """The front page of support and admins; plain users see their own workflows."""
    if not visit.principal.is_staff:
        return await mine(visit)
    tab = visit.query.get("tab", "attention")
    shared: Json = {"tab": tab, "filters": filters_of(visit.query), "overview": await visit.api.get("/admin/overview")}
    match tab:
        case "attention":
            page = await visit.api.get("/admin/workflows/failed", _failed_query(visit))
            newest = await visit.api.get("/admin/workflows/failed", _newest_query(visit))
            seen = newest["items"][0]["failedAt"] if newest["items"] else ""
            return visit.page("inbox.html", items=page["items"], next=page["nextCursor"], newest=seen, **shared)
        case "groups":
            query = {**shared["filters"], "limit": PAGE, "cursor": visit.query.get("cursor")}
            page = await visit.api.get("/admin/failure-groups", query)
            return visit.page("groups.html", items=page["items"], next=page["nextCursor"], **shared)
        case "archive":
            page = await visit.api.get("/admin/workflows/failed", {**_failed_query(visit), "archived": "true"})
            return visit.page("workflows.html", items=page["items"], next=page["nextCursor"], **shared)
        case _:
            page = await _listed(visit, tab)
            return visit.page("workflows.html", items=page["items"], next=page["nextCursor"], **shared)


async def mine(visit: Visit) -> Response:
    """A person's own workflows: those that need them first."""
    tab = visit.query.get("tab", "attention")
    statuses = ["Failed"] if tab == "attention" else STATUSES.get(tab, [])
    query = {
        "owner": visit.principal.sub,
        "status": statuses,
        "definition": visit.query.get("definition"),
        "cursor": visit.query.get("cursor"),
        "limit": PAGE,
    }
    page = await visit.api.get("/workflows", query)
    return visit.page("mine.html", tab=tab, items=page["items"], next=page["nextCursor"])


async def live_inbox(visit: Visit) -> Response:
    """What changed since the page was made, told without moving a row: counts, news, the fate of rows that left."""
    overview = await visit.api.get("/admin/overview")
    news = await _news(visit)
    shown = [part for part in visit.query.get("shown", "").split(",") if part][:PAGE]
    page = await visit.api.get("/admin/workflows/failed", _failed_query(visit))
    there = {item["workflowId"] for item in page["items"]}
    left = [workflow_id for workflow_id in shown if workflow_id not in there][:LOOKED_UP]
    fates = [fate for fate in [await _fate(visit, workflow_id) for workflow_id in left] if fate]
    return visit.page("live_inbox.html", overview=overview, news=news, fates=fates, enough=NEWS_SHOWN)


async def live_strip(visit: Visit) -> Response:
    """The health strip."""
    overview = await visit.api.get("/admin/overview")
    scan = await visit.api.get("/admin/scan")
    return visit.page("live_strip.html", overview=overview, scan=scan)


def filters_of(query: Mapping[str, str]) -> dict[str, str]:
    """The filters in a page's address, without empty ones."""
    return {name: query[name] for name in FILTERS if query.get(name)}


def _failed_query(visit: Visit) -> Json:
    query = visit.query
    return {**filters_of(query), "sort": query.get("sort"), "cursor": query.get("cursor"), "limit": PAGE}


def _newest_query(visit: Visit) -> Json:
    return {**filters_of(visit.query), "sort": "-failedAt", "limit": 1}


async def _listed(visit: Visit, tab: str) -> Json:
    query = visit.query
    chosen: list[str] = STATUSES.get(tab, []) or ([query["status"]] if query.get("status") else [])
    wanted: dict[str, Any] = {"status": chosen, "cursor": query.get("cursor"), "limit": PAGE}
    return await visit.api.get("/workflows", wanted | {name: query.get(name) for name in ("definition", "owner")})


async def _news(visit: Visit) -> int:
    """How many failures came since the page was made; `NEWS_SHOWN` means that many or more."""
    since = visit.query.get("since", "")
    query = {**filters_of(visit.query), "sort": "-failedAt", "limit": NEWS_SHOWN}
    newest = (await visit.api.get("/admin/workflows/failed", query))["items"]
    return sum(1 for item in newest if item["failedAt"] > since)


async def _fate(visit: Visit, workflow_id: str) -> Json | None:
    try:
        return await visit.api.get(f"/workflows/{workflow_id}")
    except Refused:
        return None
