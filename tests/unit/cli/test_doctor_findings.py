"""The doctor's judgement: what is fine, what deserves a warning, what is red, and that it says what to do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from ratchet.adapters.rabbitmq import topology
from ratchet.cli.doctor import check_postgres, check_rabbitmq, check_redis
from ratchet.cli.doctor.check_postgres import PostgresFacts, Standing
from ratchet.cli.doctor.check_services import check_services
from ratchet.cli.doctor.check_topology import difference, judge_backlog, judge_lossless
from ratchet.cli.doctor.expected import Expected, expected_of
from ratchet.cli.doctor.findings import Finding, Level
from ratchet.client import NotConfigured
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.retry import Retry

from tests.unit.cli.conftest import Shell

HEALTHY = PostgresFacts(
    version="16.4",
    revision="0002",
    fsync="on",
    full_page_writes="on",
    synchronous_commit="on",
    skew=timedelta(seconds=1),
)


def test_what_is_overdue_is_told_from_the_rows_because_the_delay_queues_cannot_say_it() -> None:
    calm = by_subject(check_postgres.judge(replace(HEALTHY, standing=Standing(due_later=7)), newest="0002"))
    assert (calm["retries"].level, calm["retries"].found) == (Level.OK, "7 due later")
    late = Standing(due_later=1, overdue=2, overdue_by=timedelta(seconds=42), unserved=3)
    found = by_subject(check_postgres.judge(replace(HEALTHY, standing=late), newest="0002"))
    assert (found["retries"].level, found["workflows"].level) == (Level.WARNING, Level.WARNING)
    assert "2 overdue, the latest by 42 s" in found["retries"].found
    assert "3 workflows" in found["workflows"].found


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def postgres(**changes: Any) -> dict[str, Finding]:
    return by_subject(check_postgres.judge(replace(HEALTHY, **changes), newest="0002"))


def test_a_healthy_database_has_nothing_to_put_right() -> None:
    assert {finding.level for finding in postgres().values()} == {Level.OK}


@pytest.mark.parametrize(
    ("version", "level"),
    [("14.12", Level.RED), ("15.1", Level.OK), ("18.6", Level.OK), ("19beta1", Level.WARNING), ("19", Level.WARNING)],
)
def test_postgres_15_to_18_are_supported(version: str, level: Level) -> None:
    assert postgres(version=version)["version"].level is level


@pytest.mark.parametrize(
    ("revision", "said"), [(None, "empty"), ("0001", "not at 0002"), ("0003", "newer than this program")]
)
def test_a_schema_other_than_the_newest_is_red_and_tells_the_command(revision: str | None, said: str) -> None:
    finding = postgres(revision=revision)["migrations"]
    assert finding.level is Level.RED
    assert said in finding.found
    assert finding.advice


def test_a_database_that_takes_no_writes_is_red() -> None:
    assert postgres()["writes"].level is Level.OK
    assert postgres(read_only=True)["writes"].level is Level.RED


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_database_that_forgets_what_it_confirmed_is_told(setting: str) -> None:
    finding = postgres(**{setting: "off"})["durability"]
    assert finding.level is Level.WARNING
    assert setting in finding.found


def test_clocks_that_differ_are_told() -> None:
    assert postgres(skew=timedelta(seconds=-40))["clock"].level is Level.WARNING


@pytest.mark.parametrize(
    ("version", "level"),
    [("3.9.13", Level.RED), ("3.10.8", Level.OK), ("3.13.7", Level.OK), ("4.0.5", Level.OK), ("5.0.0", Level.WARNING)],
)
def test_rabbitmq_3_10_to_4_are_supported(version: str, level: Level) -> None:
    assert check_rabbitmq.judge_version(version).level is level


@pytest.mark.parametrize(
    ("info", "level"),
    [
        ({"redis_version": "6.2.1"}, Level.RED),
        ({"redis_version": "7.0.15"}, Level.OK),
        ({"redis_version": "8.2.0"}, Level.OK),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, Level.OK),
    ],
)
def test_redis_from_7_on_and_every_valkey_are_supported(info: dict[str, Any], level: Level) -> None:
    assert check_redis.judge(info).level is level


def test_the_broker_s_refusal_is_cut_down_to_the_argument() -> None:
    text = (
        "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'executor.steps.default' in vhost '/': "
        "received '5' but current is '3'"
    )
    assert difference(text).startswith("inequivalent arg 'x-delivery-limit' for queue")
    assert difference("something else") == "something else"


def test_every_queue_of_the_topology_keeps_its_dead_letters() -> None:
    queues = topology.queues(["default", "mail"], [timedelta(seconds=2)])
    assert [judge_lossless(queue) for queue in queues] == [None] * len(queues)


@pytest.mark.parametrize("lost", ["x-dead-letter-strategy", "x-overflow"])
def test_a_queue_that_could_lose_dead_letters_would_be_red(lost: str) -> None:
    queue = topology.steps_queue("default")
    weaker = replace(queue, arguments={name: value for name, value in queue.arguments.items() if name != lost})
    finding = judge_lossless(weaker)
    assert finding is not None
    assert finding.level is Level.RED


@pytest.mark.parametrize(
    ("queue", "who"),
    [
        ("executor.steps.mail", "executor with mail in RATCHET_POOLS"),
        ("notifier.events", "the notifier"),
        ("recovery.commands", "the recovery service"),
        ("recovery.dead-letters", "the recovery service"),
    ],
)
def test_a_queue_that_nobody_consumes_is_told_with_whom_to_start(queue: str, who: str) -> None:
    finding = judge_backlog(queue, messages=3, consumers=0)
    assert finding.level is Level.WARNING
    assert who in finding.advice
    assert judge_backlog(queue, messages=3, consumers=1).level is Level.OK


def test_a_long_backlog_and_parked_messages_are_warnings() -> None:
    assert judge_backlog("executor.steps.default", messages=50_000, consumers=2).level is Level.WARNING
    assert judge_backlog("ratchet.parked", messages=1, consumers=0).level is Level.WARNING
    assert judge_backlog("ratchet.parked", messages=0, consumers=0).level is Level.OK


def test_waiting_rooms_need_no_consumer() -> None:
    finding = judge_backlog("executor.retry.2000", messages=7, consumers=0)
    assert finding.level is Level.OK
    assert "7 waiting" in finding.found
    assert "target is missing, is not counted here" in finding.found


def test_queues_are_expected_for_settings_and_registered_workflows() -> None:
    settings = expected_of({"RATCHET_POOLS": "default, gpu", "RATCHET_RETRY_DELAYS": "0s,2s"})
    step = StepDefinition("send", pool="mail", retry=Retry(0, 30))
    joined = settings.joined([WorkflowDefinition("x", 1, (step,))])
    assert joined.pools == {"default", "gpu", "mail"}
    assert joined.delays == {timedelta(0), timedelta(seconds=2), timedelta(seconds=30)}


def test_without_settings_the_defaults_are_expected() -> None:
    seconds = frozenset(timedelta(seconds=count) for count in (0, 2, 5))
    assert expected_of({}) == Expected(frozenset({"default"}), seconds)


def test_a_delay_that_is_none_is_told_by_name() -> None:
    with pytest.raises(NotConfigured, match="RATCHET_RETRY_DELAYS: write a duration"):
        expected_of({"RATCHET_RETRY_DELAYS": "soon"})


async def test_services_are_ready_or_say_what_they_lack() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        match request.url.port:
            case 9000:
                return httpx2.Response(200, json={"ready": True, "checks": {"database": True}})
            case 8081:
                return httpx2.Response(503, json={"ready": False, "checks": {"database": True, "broker": False}})
            case 8082:
                return httpx2.Response(200, text="<h1>another program</h1>")
            case _:
                raise httpx2.ConnectError("refused")

    environ = {"RATCHET_API_URL": "http://127.0.0.1:9000/"}
    found = by_subject(await check_services(environ, transport=httpx2.MockTransport(answer)))
    assert found["admin API"].level is Level.OK
    assert found["notifier"].found == "not ready: broker"
    assert "something else answers" in found["executor"].found
    assert "no answer" in found["recovery"].found
    assert "RATCHET_RECOVERY_URL" in found["recovery"].advice
    assert [found[name].level for name in ("notifier", "executor", "recovery")] == [Level.RED] * 3


def test_without_addresses_the_doctor_is_red_and_names_the_variables(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RATCHET_DATABASE_URL", "RATCHET_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("API", "NOTIFIER", "EXECUTOR", "RECOVERY"):
        monkeypatch.setenv(f"RATCHET_{name}_URL", "http://127.0.0.1:9")
    ended = shell("doctor")
    assert ended.code == 1
    for name in ("RATCHET_DATABASE_URL", "RATCHET_AMQP_URL", "RATCHET_REDIS_URL"):
        assert f"{name} is not set" in ended.out
    assert "7 things to put right." in ended.out


def test_servers_that_are_away_are_told_without_their_passwords(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_DATABASE_URL", "postgresql://u:hidden@127.0.0.1:9/d")
    monkeypatch.setenv("RATCHET_AMQP_URL", "amqp://u:hidden@127.0.0.1:9/")
    monkeypatch.setenv("RATCHET_REDIS_URL", "redis://:hidden@127.0.0.1:9")
    ended = shell("doctor", "-o", "json")
    assert ended.code == 1
    assert ended.out.count('"subject": "connection"') == 3
    assert "hidden" not in ended.out + ended.err
