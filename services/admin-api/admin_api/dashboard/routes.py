"""Every page of the dashboard and its address."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from admin_api.dashboard import act, bulk, door, inbox, reference, staff_pages, workflow_page
from admin_api.dashboard.render import STATIC
from admin_api.dashboard.visit import acting, reading


class KeptFiles(StaticFiles):
    """Static files; an address with a version in it never changes its content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with how long it may be kept."""
        response = await super().get_response(path, scope)
        versioned = "v" in Request(scope).query_params
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        return response


def dashboard_routes() -> list[BaseRoute]:
    """To be appended to the app's own."""
    return [
        Route("/", reading(inbox.inbox)),
        Route("/mine", reading(inbox.mine)),
        Route("/live/inbox", reading(inbox.live_inbox)),
        Route("/live/strip", reading(inbox.live_strip)),
        Route("/sign-in", door.sign_in_page, methods=["GET"]),
        Route("/sign-in", door.sign_in, methods=["POST"]),
        Route("/sign-out", acting(door.sign_out), methods=["POST"]),
        Route("/workflows/{workflow_id}", reading(workflow_page.workflow_page)),
        Route("/workflows/{workflow_id}/live", reading(workflow_page.live_workflow)),
        Route("/workflows/{workflow_id}/do/{doing}", reading(act.ask), methods=["GET"]),
        Route("/workflows/{workflow_id}/do/{doing}", acting(act.act), methods=["POST"]),
        Route("/bulk", reading(bulk.runs), methods=["GET"]),
        Route("/bulk", acting(bulk.begin), methods=["POST"]),
        Route("/bulk/new", reading(bulk.plan)),
        Route("/bulk/{run_id}", reading(bulk.run)),
        Route("/bulk/{run_id}/live", reading(bulk.live_run)),
        Route("/bulk/{run_id}/cancel", acting(bulk.cancel), methods=["POST"]),
        Route("/parked", reading(staff_pages.parked)),
        Route("/parked/{message_id}/replay", acting(staff_pages.replay), methods=["POST"]),
        Route("/parked/{message_id}/discard", acting(staff_pages.discard), methods=["POST"]),
        Route("/audit", reading(staff_pages.audit)),
        Route("/docs", reference.reference),
        Mount("/static", KeptFiles(directory=STATIC)),
    ]
