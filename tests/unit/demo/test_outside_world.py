"""The demo's outside world fails as often as it is told to, and counts what it really did."""

import http.client
from urllib.parse import urlsplit

from local_stack.demo.outside_world import OutsideWorld, running_outside_world


def test_a_service_fails_as_often_as_it_was_broken_down_for() -> None:
    world = OutsideWorld()
    world.break_down("payment", "A-1", 503, times=2)
    assert [world.receive("payment", "A-1", "key") for _ in range(3)] == [503, 503, 200]


def test_a_service_broken_down_for_good_works_again_once_repaired() -> None:
    world = OutsideWorld()
    world.break_down("payment", "A-1", 503)
    before = [world.receive("payment", "A-1", "key") for _ in range(5)]
    world.repair("payment", "A-1")
    assert [*before, world.receive("payment", "A-1", "key")] == [503] * 5 + [200]


def test_what_is_asked_for_again_with_the_same_key_is_done_once() -> None:
    world = OutsideWorld()
    for key in ("one", "one", "another"):
        world.receive("take-off", "A-1", key)
    world.receive("payment", "A-1", "one")
    world.receive("take-off", "A-2", "one")
    assert world.bookings("A-1") == {"take-off": 2, "payment": 1}


def test_it_is_reached_over_http() -> None:
    with running_outside_world() as world:
        world.break_down("survey", "A-1", 410)
        connection = http.client.HTTPConnection(urlsplit(world.url).netloc, timeout=5)
        answers = []
        for order in ("A-1", "A-2"):
            connection.request("POST", f"/survey/{order}", headers={"Idempotency-Key": "key"})
            response = connection.getresponse()
            answers.append((response.status, response.read()))
        connection.close()
    assert [status for status, _body in answers] == [410, 200]
    assert answers[1][1] == b'{"receipt": "survey-A-2"}'
