"""The grammar: every verb is there, wrong words are usage errors, help is quick because nothing is imported for it."""

import subprocess
import sys

import pytest
from ratchet.cli.verbs import build_app

from tests.unit.cli.conftest import Shell

VERBS = (
    *(
        "start",
        "execute",
        "watch",
        "status",
        "history",
        "list",
        "failed",
        "groups",
        "checkpoints",
        "preview",
        "recovery",
    ),
    *("tail", "recover", "retry", "skip", "pause", "resume", "cancel", "restore", "override"),
    *("overview", "doctor", "scan", "breaker", "token"),
)
FAMILIES = {
    "bulk": ("preview", "start", "watch", "status", "list", "cancel"),
    "parked": ("list", "show", "replay", "discard"),
    "audit": ("list", "verify"),
}
HEAVY = ("pydantic", "httpx2", "websockets", "aio_pika", "asyncpg", "redis", "joserfc", "sqlalchemy", "ratchet.client")


def test_every_verb_is_listed_with_its_help(shell: Shell) -> None:
    ended = shell("--help")
    assert ended.code == 0
    assert all(f"│ {verb} " in ended.out for verb in (*VERBS, *FAMILIES))
    assert "Exit codes" in ended.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_leads_to_code_that_explains_itself(shell: Shell, verb: str) -> None:
    ended = shell(verb, "--help")
    assert ended.code == 0
    assert f"ratchet {verb}" in ended.out
    assert "--output" in ended.out
    assert build_app()[verb].default_command is not None


@pytest.mark.parametrize(("family", "verb"), [(family, verb) for family, verbs in FAMILIES.items() for verb in verbs])
def test_every_verb_of_a_family_is_listed_and_leads_to_code_that_explains_itself(
    shell: Shell, family: str, verb: str
) -> None:
    assert f"│ {verb} " in shell(family, "--help").out
    ended = shell(family, verb, "--help")
    assert ended.code == 0
    assert f"ratchet {family} {verb}" in ended.out
    assert "--output" in ended.out


def test_without_words_help_is_shown(shell: Shell) -> None:
    assert "Usage: ratchet COMMAND" in shell().out


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("status",),
        ("status", "not-a-uuid"),
        ("failed", "--kind", "silly"),
        ("failed", "--limit", "201"),
        ("failed", "--older-than", "5y"),
        ("tail", "--nonsense"),
    ],
)
def test_wrong_words_are_told_on_standard_error_with_exit_code_2(shell: Shell, words: tuple[str, ...]) -> None:
    ended = shell(*words)
    assert ended.code == 2
    assert ended.err
    assert ended.out == ""
    assert shell.api.requests == []


def test_help_imports_nothing_heavy() -> None:
    # In a process of its own: this one has imported everything already. `ratchet` itself belongs to workflow authors.
    program = (
        "import sys; import ratchet; before = set(sys.modules); from ratchet.cli import main; main(['--help']);"
        f"print([name for name in {HEAVY!r} if name in set(sys.modules) - before], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "[]"
    assert "Usage: ratchet COMMAND" in ended.stdout


def test_a_reader_that_leaves_early_causes_no_complaint() -> None:
    program = "import sys; from ratchet.cli import main; sys.exit(main(['--help']))"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141
