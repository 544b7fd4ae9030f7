"""How a workflow is written: a `Workflow`, its `@step` functions, and the context they are given."""

import asyncio
import importlib
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, get_type_hints, overload
from uuid import UUID

import structlog
from pydantic import BaseModel, TypeAdapter

from ratchet import exact_json
from ratchet.domain.definition import DEFAULT_POOL, StepDefinition, WorkflowDefinition
from ratchet.domain.errors import InvalidDefinition
from ratchet.domain.retry import Retry


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step knows about its own execution."""

    workflow_id: UUID
    step: str
    attempt: int
    correlation_id: str
    inputs: dict[str, Any]
    idempotency_key: str
    """The same for every attempt at this step until it has committed, whoever asks for it again: a service that honours
    it does the work once, also where the outcome of an attempt is not known. Only a restore to before the step's commit
    (or a recovery that has to go back there, because newer checkpoints are damaged) makes it another one."""
    on_heartbeat: Callable[[], None] = field(default=lambda: None, repr=False)
    call_http: "CallHttp | None" = field(default=None, repr=False)
    in_thread: "InThread" = field(default=asyncio.to_thread, repr=False)

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger that names this workflow, step, attempt and correlation id in each line."""
        logger: structlog.stdlib.BoundLogger = structlog.get_logger("ratchet.step")
        return logger.bind(
            workflow_id=str(self.workflow_id),
            step=self.step,
            attempt=self.attempt,
            correlation_id=self.correlation_id,
        )

    def heartbeat(self) -> Awaitable[None]:
        """Say "still alive": the step's heartbeat time limit starts again.

        It happens at the call, so `await ctx.heartbeat()` in an async step and `ctx.heartbeat()` in a plain function
        (which runs in a thread) do the same.
        """
        self.on_heartbeat()
        return _SAID


class _Said:
    """Nothing is left to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield  # makes it a generator


_SAID = _Said()


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One request of an `http_step`."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


CallHttp = Callable[[HttpCall], Awaitable[Any]]
"""Sends one request and returns the JSON of the answer; given to steps by the executor, which guards where it goes."""

InThread = Callable[..., Awaitable[Any]]
"""Runs a plain function with its arguments in a thread; given to steps by the executor, which has one for each."""

StepFunction = TypeVar("StepFunction", bound=Callable[..., Any])
RunStep = Callable[[StepContext, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """A step's rules and its code, the code reduced to JSON in and JSON out."""

    definition: StepDefinition
    run: RunStep
    retry_on: tuple[type[BaseException], ...] = ()


class Workflow:
    """A named, versioned list of steps. Steps run in the order in which they are written."""

    def __init__(self, name: str, *, version: int = 1, recovers_automatically: bool = False) -> None:
        """Set `recovers_automatically` to let Ratchet try a failed workflow again once before it asks a person."""
        if not name or version < 1:
            raise InvalidDefinition("A workflow needs a name and a version of at least 1")
        self.name = name
        self.version = version
        self.recovers_automatically = recovers_automatically
        self.steps: list[Step] = []

    @overload
    def step(self, function: StepFunction, /) -> StepFunction: ...
    @overload
    def step(
        self,
        /,
        *,
        id: str | None = None,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        retry: Retry | None = None,
        retry_on: tuple[type[BaseException], ...] = (),
        optional: bool = False,
        pool: str = DEFAULT_POOL,
        waits_for_command: bool = False,
        depends_on: str | None = None,
        long_running: bool = False,
    ) -> Callable[[StepFunction], StepFunction]: ...
    def step(
        self,
        function: StepFunction | None = None,
        /,
        *,
        retry_on: tuple[type[BaseException], ...] = (),
        **options: Any,
    ) -> StepFunction | Callable[[StepFunction], StepFunction]:
        """Add a step. Its function takes the context and the state, and returns the new state (None keeps the old one).

        The state may be a pydantic model.

        `timeout` and `heartbeat_timeout` are seconds. `retry` overrides the executor's plan, `retry_on` adds error
        types to those that count as transient. `optional` lets the owner skip the step after a failure. `pool` names
        the executors that run it. `waits_for_command` holds the workflow until an upstream `step.execute` arrives.
        Steps with the same `depends_on` are held back together, without attempts, while most of their runs fail.
        """

        def add(code: StepFunction) -> StepFunction:
            self.steps.append(Step(_rules(code.__name__, **options), json_step(code), retry_on))
            return code

        return add if function is None else add(function)

    def http_step(
        self,
        id: str,  # noqa: A002 - the contract's word
        *,
        url: str,
        method: str = "POST",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        into: str | None = None,
        **options: Any,
    ) -> None:
        """Add a step that calls `url` and keeps the JSON answer in the state under `into` (default: the step's id).

        `body` defaults to the state. The request carries the step's idempotency key and the correlation id. 5xx, 408,
        429 and transport errors are transient (`Retry-After` is honoured), other 4xx permanent. Redirects are not
        followed. Private addresses are refused unless listed in `RATCHET_HTTP_ALLOW`.
        """
        if options.get("heartbeat_timeout") is not None:
            raise InvalidDefinition(
                f"Step {id!r}: an http_step gives no sign of life before its answer; use timeout, not heartbeat_timeout"
            )
        request = _HttpRequest(method.upper(), url, body, tuple((headers or {}).items()), into or id)
        self.steps.append(Step(_rules(id, **options), request.run))

    @property
    def definition(self) -> WorkflowDefinition:
        """The workflow without its code."""
        steps = tuple(step.definition for step in self.steps)
        return WorkflowDefinition(self.name, self.version, steps, self.recovers_automatically)


def _rules(
    name: str,
    *,
    id: str | None = None,  # noqa: A002  # the contract's word
    timeout: float | None = None,  # a rule of the step, in the contract's words
    heartbeat_timeout: float | None = None,
    **flags: Any,
) -> StepDefinition:
    for option, seconds in (("timeout", timeout), ("heartbeat_timeout", heartbeat_timeout)):
        if seconds is not None and not seconds > 0:
            raise InvalidDefinition(f"Step {id or name!r}: {option} is {seconds}; it takes seconds, more than 0")
    return StepDefinition(
        id=id or name,
        timeout=None if timeout is None else timedelta(seconds=timeout),
        heartbeat_timeout=None if heartbeat_timeout is None else timedelta(seconds=heartbeat_timeout),
        **flags,
    )


def json_step(code: Callable[..., Any]) -> RunStep:
    """Wrap a step function so that it takes and returns plain JSON values.

    A function that is not `async` runs in a thread of its own. A thread cannot be stopped: after a time-out it runs on,
    and only its result is dropped.
    """
    parse = _state_parser(code)
    is_async = inspect.iscoroutinefunction(code)

    async def run(context: StepContext, state: Any) -> Any:
        argument = parse(state)
        result = await code(context, argument) if is_async else await context.in_thread(code, context, argument)
        if result is None:
            return state if argument is state else _plain(argument)
        return _plain(result)

    return run


@dataclass(frozen=True, slots=True)
class _HttpRequest:
    method: str
    url: str
    body: Any
    headers: tuple[tuple[str, str], ...]
    into: str

    async def run(self, context: StepContext, state: Any) -> Any:
        if context.call_http is None:
            raise InvalidDefinition("An http_step needs an executor: there is nothing here that could call out")
        own = (
            ("Idempotency-Key", context.idempotency_key),
            ("X-Correlation-ID", context.correlation_id),
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
        )
        content = (
            b""
            if self.method in {"GET", "HEAD", "DELETE"}
            else exact_json.dumps(state if self.body is None else self.body)
        )
        answer = await context.call_http(HttpCall(self.method, self.url, own + self.headers, content))
        return {**state, self.into: answer} if isinstance(state, dict) else {self.into: answer}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _state_parser(code: Callable[..., Any]) -> Callable[[Any], Any]:
    parameters = list(inspect.signature(code).parameters.values())
    if len(parameters) != 2:
        raise InvalidDefinition(f"Step {code.__name__!r} takes exactly two parameters: the context and the state")
    kind = get_type_hints(code).get(parameters[1].name)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return TypeAdapter(kind).validate_python
    return lambda state: state


class Registry:
    """The workflows whose code this process has."""

    def __init__(self, workflows: Iterable[Workflow]) -> None:
        self._definitions: dict[tuple[str, int], WorkflowDefinition] = {}
        self._steps: dict[tuple[str, int], list[Step]] = {}
        for workflow in workflows:
            key = (workflow.name, workflow.version)
            if key in self._definitions:
                raise InvalidDefinition(f"Workflow {workflow.name!r} version {workflow.version} is defined twice")
            self._definitions[key] = workflow.definition
            self._steps[key] = list(workflow.steps)

    @classmethod
    def of_modules(cls, names: Iterable[str]) -> "Registry":
        """Import the modules and collect every `Workflow` found at their top level.

        Raises:
            InvalidDefinition: a module is missing, fails to import, or defines no workflow.
        """
        found: list[Workflow] = []
        for name in names:
            try:
                module = importlib.import_module(name)
            except Exception as error:  # whatever a module raises at import, the message has to say which one it was
                raise InvalidDefinition(f"RATCHET_WORKFLOWS: cannot import {name!r}: {error}") from error
            workflows = [value for value in vars(module).values() if isinstance(value, Workflow)]
            if not workflows:
                raise InvalidDefinition(f"RATCHET_WORKFLOWS: module {name!r} defines no Workflow")
            found.extend(workflow for workflow in workflows if workflow not in found)
        return cls(found)

    @property
    def definitions(self) -> list[WorkflowDefinition]:
        """Everything known, for registration."""
        return list(self._definitions.values())

    def find(self, name: str, version: int | None) -> WorkflowDefinition | None:
        """That version, or the newest one when `version` is None."""
        if version is None:
            version = max((known for known_name, known in self._definitions if known_name == name), default=0)
        return self._definitions.get((name, version))

    def step(self, definition: WorkflowDefinition, index: int) -> Step:
        """The code of one step."""
        return self._steps[definition.name, definition.version][index]
