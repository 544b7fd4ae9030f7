"""Commands run as a user runs them: words in; exit code, output and error output back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from ratchet.cli import main
from ratchet.client import Client, TokenSource, endpoints_from

from tests.unit.cli.scripted import RoutedApi, Scripted, Waits


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass
class Shell:
    """A folder of its own, an environment of its own, and an API that answers as told."""

    folder: Path
    api: RoutedApi
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Ended:
        self.capture.readouterr()
        code = main(words)
        said = self.capture.readouterr()
        return Ended(code, said.out, said.err)

    def answers(self, route: str, *answers: Scripted) -> None:
        self.api.answers[route] = list(answers)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    api = RoutedApi({})

    def from_env(
        cls: Callable[..., Client], environ: Mapping[str, str] | None = None, *, token: TokenSource | None = None
    ) -> Client:
        return cls(endpoints_from(environ, token=token), transport=httpx2.MockTransport(api), timing=Waits().timing())

    monkeypatch.setattr(Client, "from_env", classmethod(from_env))
    monkeypatch.chdir(tmp_path)
    for name in ("RATCHET_TOKEN", "RATCHET_JWT_SECRET", "RATCHET_API_URL", "RATCHET_NOTIFIER_URL", "RATCHET_AMQP_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RATCHET_TOKEN", "the-token")
    # Nothing listens there, so what follows events falls back to looking.
    monkeypatch.setenv("RATCHET_NOTIFIER_URL", "http://127.0.0.1:9")
    return Shell(tmp_path, api, capsys)
