"""An executor that is killed in the middle of a bulk recovery is an interruption: nothing relapsed, nothing stops."""

import uuid

from tests.harness.person import Person
from tests.harness.platform import Platform
from tests.harness.upstream import start_body
from tests.harness.waiting import until

LOAD = 36
FAILS_ONCE = {"trouble": {"ship_parcel": {"kind": "permanent", "times": 1}}, "pace": 0.3}


def test_an_executor_killed_in_the_middle_of_a_bulk_recovery_neither_relapses_nor_stops_it(
    platform: Platform, sarah: Person
) -> None:
    ids = [uuid.uuid4() for _ in range(LOAD)]
    platform.upstream.start_many([start_body(each, sarah.name, "delivery", FAILS_ONCE) for each in ids])
    flagged = "SELECT count(*) FROM workflow_instances WHERE id = ANY ($1) AND requires_manual_intervention"
    until(lambda: platform.sql(flagged, ids)[0]["count"], lambda count: count == LOAD, what="all to have failed")
    admin = platform.person("ada", "admin")
    headers = {"Authorization": f"Bearer {admin.token}"}
    place = f"{platform.running.api_url}/api/v1/admin/recoveries"
    body = {"filter": {"owner": sarah.name}, "expected": LOAD, "reason": "mended", "canary": 0}
    begun = platform.http.post(place, json=body, headers=headers)
    assert begun.status_code == 202, begun.text
    run = f"{place}/{begun.json()['recoveryId']}"
    executing = "SELECT count(*) FROM workflow_instances WHERE id = ANY ($1) AND status = 'Executing'"
    until(
        lambda: platform.sql(executing, ids)[0]["count"], lambda count: count >= LOAD // 2, what="them to be under way"
    )
    platform.crash("executor")
    platform.start("executor")
    ended = until(
        lambda: platform.http.get(run, headers=headers).json(),
        lambda seen: seen["state"] != "running",
        what="the bulk recovery to end",
    )
    assert (ended["state"], ended["verified"], ended["relapsed"]) == ("completed", LOAD, 0)
    lost = "SELECT count(*) FROM recovery_attempts WHERE workflow_id = ANY ($1) AND kind IN ('takeover', 'rescue')"
    assert platform.sql(lost, ids)[0]["count"] > 0, "nobody was interrupted"
