"""Everything that can be configured, read once from the environment with the prefix `RATCHET_`."""

import re
from datetime import timedelta
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ratchet.domain.egress import EgressRules
from ratchet.domain.errors import InvalidSettings
from ratchet.postgres_address import parse_address, require_files

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(value: Any) -> Any:
    """`500ms`, `15s`, `5m`, `1h`, or a number of seconds."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise ValueError("write a duration as 500ms, 15s, 5m, 1h or a number of seconds")
        try:
            return timedelta(seconds=float(match[1]) * _UNITS[match[2] or "s"])
        except OverflowError as error:
            raise ValueError("this duration is too long") from error
    return value


def _split(value: Any, *, of: Any = str.strip) -> Any:
    return tuple(of(part) for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(parse_duration), Field(ge=timedelta(0))]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Durations = Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(partial(_split, of=parse_duration))]
Port = Annotated[int, Field(ge=0, le=65535)]

SHORTEST = timedelta(seconds=1)
"""Of what is kept up over the network: below it every hiccup looks like a death."""

SHORTEST_SECRET = 32
"""Bytes that a key of HS256 needs (RFC 7518, section 3.2)."""

_ORIGIN = re.compile(r"https?://[^/?#@\s]+/?", re.IGNORECASE)


class Settings(BaseSettings):
    """The environment of every service. Durations: `15s`, `5m`, or seconds; lists are comma-separated."""

    model_config = SettingsConfigDict(env_prefix="RATCHET_", extra="ignore", frozen=True, secrets_dir=None)

    database_url: SecretStr
    amqp_url: SecretStr
    redis_url: SecretStr

    workflows: Words = ()
    pools: Words = ("default",)
    retry_delays: Durations = (timedelta(0), timedelta(seconds=2), timedelta(seconds=5))
    step_timeout: Duration = timedelta(seconds=30)
    prefetch: Annotated[int, Field(ge=1, le=10_000)] = 200
    delivery_steps: Annotated[int, Field(ge=1)] = 100
    delivery_time: Duration = timedelta(minutes=1)
    consumer_timeout: Duration = timedelta(minutes=30)
    shutdown_grace: Duration = timedelta(seconds=8)
    lease: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(seconds=30)

    stale_after: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(minutes=5)
    recovery_startup_delay: Duration = timedelta(seconds=5)
    recovery_concurrency: Annotated[int, Field(ge=1, le=1000)] = 5
    scan_interval: Duration = timedelta(seconds=30)
    relay_interval: Duration = timedelta(milliseconds=500)
    relay_after: Duration = timedelta(seconds=1)
    retry_grace: Duration = timedelta(seconds=30)
    stale_ceiling: Duration = timedelta(hours=1)
    bulk_rate: Annotated[int, Field(ge=1, le=10_000)] = 200
    archive_after: Duration = timedelta(hours=2160)
    archive_failed_after: Duration = timedelta(0)
    archive_keep: Duration = timedelta(0)

    jwt_secret: SecretStr | None = None
    jwt_jwks_url: str | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    allowed_origins: Words = ()
    http_allow: Words = ()
    recovery_wait: Duration = timedelta(seconds=10)
    rate_limit: Annotated[int, Field(ge=1)] = 100

    notification_retention: Duration = timedelta(days=30)
    sockets_per_user: Annotated[int, Field(ge=1)] = 100
    sockets_total: Annotated[int, Field(ge=1)] = 20_000

    host: str = "127.0.0.1"
    listen_fd: Annotated[int, Field(ge=3)] | None = None
    drain: Duration = timedelta(0)
    api_port: Port = 8080
    notifier_port: Port = 8081
    executor_port: Port = 8082
    recovery_port: Port = 8083

    crash_at: str | None = None

    log_level: str = "INFO"
    log_format: Annotated[str, Field(pattern="^(json|console)$")] = "json"

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr) -> SecretStr:
        require_files(parse_address(value.get_secret_value()))
        return value

    @field_validator("amqp_url")
    @classmethod
    def _amqp(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("amqp://", "amqps://")):
            raise ValueError("must begin with amqp:// or amqps://")
        _require_place(value)
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        _require_place(value)
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _secret(cls, value: SecretStr | None) -> SecretStr | None:
        secret = "" if value is None else value.get_secret_value()
        if not secret:
            return None
        if len(secret.encode()) < SHORTEST_SECRET:
            raise ValueError(f"needs at least {SHORTEST_SECRET} bytes: shorter ones are guessed (openssl rand -hex 32)")
        return value

    @field_validator("jwt_jwks_url")
    @classmethod
    def _keys(cls, value: str | None) -> str | None:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// (or http://)")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [origin for origin in value if not _ORIGIN.fullmatch(origin)]:
            raise ValueError(f"has {wrong[0][:100]!r}, which is no origin: write https://app.example.com")
        return value

    @field_validator("http_allow")
    @classmethod
    def _allowed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        EgressRules.of(value)
        return value

    @field_validator("log_level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
            raise ValueError("is one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
        return value

    @field_validator("archive_failed_after")
    @classmethod
    def _failed_stay_longer(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        ended: timedelta = info.data.get("archive_after", timedelta(0))
        if timedelta(0) < value < ended:
            raise ValueError("must not be shorter than RATCHET_ARCHIVE_AFTER: who failed is looked for longer")
        return value

    @field_validator("pools")
    @classmethod
    def _pools(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", pool) for pool in value):
            raise ValueError("needs one or more pool names of letters, digits, dot, dash or underscore")
        return value


def _require_place(address: SecretStr) -> None:
    try:
        port = urlsplit(address.get_secret_value()).port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has no usable port: it is a number, and a : / ? # or @ in the password has to be %-encoded")


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; `overrides` are for tests.

    Raises:
        InvalidSettings: naming each variable that is missing or wrong, without its value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"RATCHET_{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise InvalidSettings("\n".join(lines)) from error
