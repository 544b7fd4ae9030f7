"""The environment: the process's own first, then the running platform's; tokens made on the fly."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from ratchet.cli.development_token import RenewingToken, sign
from ratchet.cli.environment import environment
from ratchet.client import NotConfigured

from tests.unit.cli.conftest import Shell
from tests.unit.cli.scripted import says

SECRET = "a-secret-of-more-than-thirty-two-characters"


def platform(folder: Path, **values: str) -> Path:
    (folder / ".ratchet").mkdir()
    lines = [f"RATCHET_{name}={value}\n" for name, value in values.items()]
    (folder / ".ratchet" / "env").write_text("".join(lines), encoding="utf-8")
    return folder


def claims(token: str) -> dict[str, object]:
    return jwt.decode(token, OctKey.import_key(SECRET)).claims


def test_the_process_s_own_values_win_over_the_platform_s(tmp_path: Path) -> None:
    folder = platform(tmp_path, AMQP_URL="amqp://file", POOLS="file")
    found = environment({"RATCHET_POOLS": "process", "PATH": "/bin"}, folder)
    assert found == {"RATCHET_AMQP_URL": "amqp://file", "RATCHET_POOLS": "process"}


def test_a_folder_without_a_platform_adds_nothing(tmp_path: Path) -> None:
    assert environment({"RATCHET_POOLS": "a"}, tmp_path) == {"RATCHET_POOLS": "a"}


def test_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    folder = platform(tmp_path, JWT_SECRET="'a$HOME#b c'")
    assert environment({}, folder) == {"RATCHET_JWT_SECRET": "a$HOME#b c"}


def test_a_token_of_the_process_is_not_sent_where_only_a_file_points(tmp_path: Path) -> None:
    folder = platform(tmp_path, API_URL="https://elsewhere.example")
    with pytest.raises(NotConfigured, match=r"RATCHET_API_URL in .* names another machine"):
        environment({"RATCHET_TOKEN": "t"}, folder)
    both = {"RATCHET_TOKEN": "t", "RATCHET_API_URL": "https://elsewhere.example"}
    assert environment(both, folder) == both


def test_a_token_of_the_process_may_go_to_the_platform_on_this_machine(tmp_path: Path) -> None:
    folder = platform(tmp_path, API_URL="http://127.0.0.1:8080")
    assert environment({"RATCHET_TOKEN": "t"}, folder)["RATCHET_TOKEN"] == "t"


def test_a_made_token_says_who_may_do_what_until_when() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    environ = {"RATCHET_JWT_SECRET": SECRET, "RATCHET_JWT_AUDIENCE": "ratchet", "RATCHET_JWT_ISSUER": "me"}
    made = sign(environ, "sarah", ["user", "support"], ttl=timedelta(minutes=5), now=now)
    assert claims(made.token) == {
        "sub": "sarah",
        "roles": ["user", "support"],
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 300,
        "aud": "ratchet",
        "iss": "me",
    }
    assert made.expires_at == now + timedelta(minutes=5)


def test_a_token_source_renews_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    source = RenewingToken({"RATCHET_JWT_SECRET": SECRET}, "sarah", ["user"])
    first = source()
    assert source() == first
    monkeypatch.setattr("ratchet.cli.development_token.RENEW_BEFORE", timedelta(hours=2))
    monkeypatch.setattr("ratchet.cli.development_token.DEFAULT_TTL", timedelta(hours=3))
    assert claims(source())["exp"] >= claims(first)["exp"]  # type: ignore[operator]  # both are numbers


def test_the_command_prints_a_token_and_nothing_else(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_JWT_SECRET", SECRET)
    ended = shell("token", "--sub", "sarah", "--role", "user", "--role", "support", "--ttl", "15m")
    assert ended.out.count("\n") == 1
    told = claims(ended.out.strip())
    assert (told["sub"], told["roles"]) == ("sarah", ["user", "support"])
    assert told["exp"] - told["iat"] == 900  # type: ignore[operator]  # both are numbers


def test_a_made_token_in_json_comes_with_what_it_says(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_JWT_SECRET", SECRET)
    told = json.loads(shell("token", "-o", "json").out)
    assert told["roles"] == ["admin"]
    assert set(told) == {"token", "sub", "roles", "expiresAt"}


def test_without_a_secret_no_token_is_made_and_the_way_out_is_told(shell: Shell) -> None:
    ended = shell("token")
    assert ended.code == 2
    assert "RATCHET_JWT_SECRET" in ended.err
    assert "make up" in ended.err


def test_the_caller_s_token_is_used_as_it_is(shell: Shell) -> None:
    shell.answers("GET /workflows", says(200, {"items": []}))
    assert shell("list").code == 0
    assert shell.api.requests[0].headers["authorization"] == "Bearer the-token"


def test_without_a_token_one_is_made_from_the_platform_s_secret(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RATCHET_TOKEN")
    platform(shell.folder, JWT_SECRET=SECRET)
    shell.answers("GET /workflows", says(200, {"items": []}))
    shell("list")
    shell("list", "--as", "sarah", "--role", "user")
    mine, hers = (claims(request.headers["authorization"].removeprefix("Bearer ")) for request in shell.api.requests)
    assert mine["roles"] == ["admin"]
    assert (hers["sub"], hers["roles"]) == ("sarah", ["user"])


def test_asking_as_somebody_else_needs_the_secret(shell: Shell) -> None:
    ended = shell("list", "--as", "sarah")
    assert ended.code == 2
    assert "--as makes a development token and needs RATCHET_JWT_SECRET" in ended.err
    assert shell.api.requests == []
