"""The pages of docs/ that describe code are held to it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cyclopts import App
from pydantic import BaseModel
from ratchet.adapters.rabbitmq import topology
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.verbs import build_app
from ratchet.domain.workflow import TRANSITIONS
from ratchet.messages import commands, events, routes
from ratchet.messages.commands import RecoveryCommand
from ratchet.messages.events import Event, EventType
from ratchet.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
DOCS = PROJECT / "docs"
SERVERS = {"database_url": "postgresql://h/d", "amqp_url": "amqp://h/", "redis_url": "redis://h/"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def section(page: str, title: str) -> str:
    """The text under a heading, up to the next one of any level."""
    text = (DOCS / page).read_text()
    return re.split(rf"^#+ {re.escape(title)}\n", text, flags=re.MULTILINE)[1].split("\n#")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row below its heading line."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not set("".join(row)) <= set("- ")][1:]


def names(cell: str) -> list[str]:
    """The words in code quotes."""
    return re.findall(r"`([^`]+)`", cell)


# --- state machine ----------------------------------------------------------------------------------------------------


def test_the_diagram_shows_exactly_the_legal_transitions() -> None:
    arrows = set(re.findall(r"^    (\w+) --> (\w+)$", (DOCS / "state-machine.md").read_text(), re.MULTILINE))
    assert arrows == {(before.value, after.value) for before, all_after in TRANSITIONS.items() for after in all_after}


def test_the_table_shows_exactly_the_legal_transitions() -> None:
    table = rows(section("state-machine.md", "The life of a workflow"))
    shown = {before: set(after.split(", ")) for before, after in table}
    assert shown == {before.value: {each.value for each in after} for before, after in TRANSITIONS.items()}


def test_every_status_is_explained() -> None:
    explained = [row[0] for row in rows(section("state-machine.md", "What the statuses mean"))]
    assert explained == [status.value for status in TRANSITIONS]


# --- messages ---------------------------------------------------------------------------------------------------------


def test_every_exchange_is_listed_with_its_kind() -> None:
    listed = {names(row[0])[0]: row[1] for row in rows(section("messages.md", "Exchanges"))}
    assert listed == {_general(name): kind.value for name, kind in topology.exchanges([timedelta(milliseconds=1)])}


def test_every_queue_is_listed_with_its_bindings() -> None:
    listed = {names(row[0])[0]: set(names(row[1])) for row in rows(section("messages.md", "Queues"))}
    expected: dict[str, set[str]] = {}
    for queue in topology.queues(["default"], [timedelta(milliseconds=1)]):
        bound = {part for binding in queue.bindings for part in binding if part}
        expected[_general(queue.name)] = {_general(part) for part in bound}
    assert listed == expected


def test_every_key_for_executors_is_listed_with_its_fields() -> None:
    listed = {
        names(row[0])[0]: [name for name in names(row[1]) if name != "version"]
        for row in rows(section("messages.md", "Commands to executors"))
    }
    assert listed == {
        routes.START: [name for name in _fields(commands.StartWorkflow) if name != "version"],
        routes.UPSTREAM_STEP: _fields(commands.ExecuteStep),
        routes.step_key("<pool>"): _fields(commands.ContinueWorkflow),
    }


def test_every_recovery_command_is_listed() -> None:
    listed = [names(row[0])[0] for row in rows(section("messages.md", "Commands to recovery"))]
    assert listed == [command.value for command in RecoveryCommand]


def test_every_event_is_listed_with_its_data() -> None:
    listed = {names(row[0])[0]: names(row[1]) for row in rows(section("messages.md", "Events"))}
    assert set(listed) == {kind.value for kind in EventType}
    for event in _samples():
        assert listed[event.type.value] == list(event.data)


def test_the_fields_of_recovery_commands_are_listed() -> None:
    text = section("messages.md", "Commands to recovery").split("|")[0]
    assert set(_fields(commands.RecoveryRequest)) <= set(names(text))


def _general(name: str) -> str:
    for command in RecoveryCommand:
        name = name.replace(f"recovery.{command}", "recovery.<command>")
    name = name.replace("executor.steps.default", "executor.steps.<pool>").replace("step.default", "step.<pool>")
    return re.sub(r"(executor\.retry\.(?:again\.|waiting\.)?)\d+", r"\1<ms>", name)


def _fields(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _samples() -> list[Event]:
    return [
        events.step_retrying("s", retry=1, limit=3, next_attempt_at=NOW, reason="r"),
        events.step_failed("s", reason="r", message=events.EXHAUSTED, can_skip=False),
        events.recovered(resumed_from=NOW, resumed_step="s", reason="r"),
        events.recovery_failed(resumed_from=NOW, reason="r"),
        events.recovery_verified("i", step="s"),
        events.recovery_relapsed("i", step="s", reason="r"),
        events.needs_attention("r"),
        events.plain(EventType.STEP_SKIPPED, stepName="s"),
        *(events.plain(kind) for kind in (EventType.COMPLETED, EventType.CANCELLED)),
        *(events.plain(kind) for kind in (EventType.PAUSED, EventType.RESUMED)),
    ]


# --- command line -----------------------------------------------------------------------------------------------------


def test_every_verb_is_listed_once() -> None:
    listed = [names(row[0])[0].removeprefix("ratchet ") for row in rows(section("command-line.md", "Verbs"))]
    assert sorted(listed) == sorted(_verbs_of(build_app()))


def test_every_exit_code_is_listed() -> None:
    listed = [int(row[0]) for row in rows(section("command-line.md", "Exit codes"))]
    assert listed == [code.value for code in ExitCode]


def _verbs_of(app: App, before: str = "") -> list[str]:
    found: list[str] = []
    for name in app:
        if not name.startswith("-"):
            found += _verbs_of(app[name], f"{before}{name} ") or [f"{before}{name}"]
    return found


# --- configuration ----------------------------------------------------------------------------------------------------


def test_every_setting_is_documented_once() -> None:
    documented = [names(row[0])[0] for row in rows((DOCS / "configuration.md").read_text()) if names(row[0])]
    assert sorted(documented) == sorted(f"RATCHET_{name.upper()}" for name in Settings.model_fields)


@pytest.mark.parametrize("row", rows((DOCS / "configuration.md").read_text()), ids=lambda row: str(row[0]))
def test_the_documented_default_is_the_real_one(row: list[str]) -> None:
    if not names(row[0]):
        return  # the heading of a further table
    name = names(row[0])[0].removeprefix("RATCHET_").lower()
    if row[1] == "required":
        assert Settings.model_fields[name].is_required()
    elif row[1] == "none":
        assert not Settings.model_fields[name].default
    else:
        [default] = names(row[1])
        given = Settings.model_validate(SERVERS | {name: default})
        assert getattr(given, name) == Settings.model_fields[name].default


def test_the_example_environment_offers_every_setting_with_its_default() -> None:
    text = (PROJECT / ".env.example").read_text()
    offered = dict(re.findall(r"^#?RATCHET_(\w+)=(.*)$", text, re.MULTILINE))
    offered.pop("TAG")
    for_tests_only = {"crash_at"}
    assert {name.lower() for name in offered} == set(Settings.model_fields) - for_tests_only
    for name, value in ((name.lower(), value) for name, value in offered.items()):
        field = Settings.model_fields[name]
        if value and not field.is_required():
            assert getattr(Settings.model_validate(SERVERS | {name: value}), name) == field.default
