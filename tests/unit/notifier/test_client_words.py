"""What clients may say on each face, how much of it, and how notifications look there."""

import orjson
import pytest
from notifier import plain_json, signalr
from notifier.admit import MAX_POSITION
from notifier.allowance import Allowance, Rate
from notifier.plain_json import Acknowledged, ClientMessage, Nonsense, Unknown
from notifier.signalr import Alive, Closed, HubMessage, Invocation, Malformed
from notifier.sse_face import _block
from notifier.subscribe import NotRecovered

from tests.unit.notifier.feeds_in_memory import notification


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ('{"ack": 17}', Acknowledged(17)),
        ('{"ack": 17.0}', Acknowledged(17)),
        ('{"ack": 0, "more": true}', Acknowledged(0)),
        ('{"ack": 99999999999999999999999999}', Acknowledged(MAX_POSITION)),
        ('{"ack": -1}', Unknown()),
        ('{"ack": 1.5}', Unknown()),
        ('{"ack": true}', Unknown()),
        ('{"ack": null}', Unknown()),
        ('{"ack": "17"}', Unknown()),
        ("{}", Unknown()),
        ("[]", Nonsense()),
        ("17", Nonsense()),
        ("", Nonsense()),
        ("{", Nonsense()),
        ('{"ack": NaN}', Nonsense()),
        (b'{"ack": 17}', Nonsense()),
        ("[" * 50_000, Nonsense()),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_plain_client_acknowledges_and_nothing_else(said: str | bytes, meant: ClientMessage) -> None:
    assert plain_json.read_client_message(said) == meant


@pytest.mark.parametrize(
    ("record", "meant"),
    [
        ('{"type":6}', Alive()),
        ('{"type":3,"invocationId":"1"}', Alive()),
        ('{"type":99}', Alive()),
        ('{"type":7}', Closed()),
        ('{"type":1,"target":"Ack","arguments":[3]}', Invocation("Ack", (3,), None)),
        ('{"type":1,"target":"Ack","arguments":[3],"invocationId":"0"}', Invocation("Ack", (3,), "0")),
        ('{"type":4,"target":"Stream","invocationId":"0"}', Invocation("Stream", (), "0")),
        ('{"type":1,"target":3}', Malformed()),
        ('{"type":1,"target":"Ack","arguments":{}}', Malformed()),
        ('{"type":1,"target":"Ack","arguments":[],"invocationId":5}', Malformed()),
        ('{"type":"6"}', Malformed()),
        ("{}", Malformed()),
        ("[]", Malformed()),
        ("{", Malformed()),
    ],
)
def test_a_hub_client_invokes_pings_and_leaves(record: str, meant: HubMessage) -> None:
    assert signalr.read_message(record) == meant


def test_records_that_share_a_frame_are_told_apart() -> None:
    assert signalr.split("{}\x1e{}\x1e") == ["{}", "{}"]
    assert signalr.split(b"{}\x1e") == ["{}"]
    assert signalr.split("") == []


def test_a_notification_looks_as_each_protocol_wants_it() -> None:
    one = notification(17, "WORKFLOW_PAUSED", '{"workflowId": "w"}')
    assert orjson.loads(plain_json.frame(one)) == {
        "id": 17,
        "type": "WORKFLOW_PAUSED",
        "time": "2026-01-01T00:00:00Z",
        "data": {"workflowId": "w"},
    }
    first, second, rest = signalr.push([one, notification(18)]).split("\x1e")
    assert orjson.loads(first) == {
        "type": 1,
        "target": "WORKFLOW_PAUSED",
        "arguments": [{"id": 17, "workflowId": "w"}],
    }
    assert orjson.loads(second)["arguments"] == [{"id": 18}]
    assert rest == ""
    assert _block([one]) == b'id: 17\nevent: WORKFLOW_PAUSED\ndata: {"workflowId": "w"}\n\n'
    assert _block(()) == b": alive\n\n"
    assert _block(NotRecovered(4)) == b'id: 4\n\nevent: NOT_RECOVERED\ndata: {"after":4}\n\n'


def test_the_last_word_never_has_both_an_error_and_leave_to_come_back() -> None:
    assert orjson.loads(signalr.close(None)[:-1]) == {"type": 7, "allowReconnect": True}
    assert orjson.loads(signalr.close("no")[:-1]) == {"type": 7, "error": "no"}


def test_an_allowance_is_used_up_and_refills_with_time() -> None:
    allowance = Allowance(Rate(burst=3, per_second=2))
    assert [allowance.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert not allowance.take(100.4)
    assert allowance.take(100.5)
    assert not allowance.take(100.6)
    assert [allowance.take(200.0) for _ in range(4)] == [True, True, True, False]
