"""deploy/Dockerfile and what goes into the image."""

import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import requires
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest
from ratchet.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
DOCKERFILE = (PROJECT / "deploy" / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE)).splitlines()
FINAL = INSTRUCTIONS[max(i for i, line in enumerate(INSTRUCTIONS) if line.startswith("FROM ")) :]


def test_the_base_image_is_pinned_and_the_same_in_both_stages() -> None:
    bases = {line.split()[1] for line in INSTRUCTIONS if line.startswith("FROM ")}
    assert bases == {"python:3.13-slim"}


def test_the_image_does_not_run_as_root() -> None:
    user = [line.split()[1] for line in FINAL if line.startswith("USER ")][-1]
    uid, _, gid = user.partition(":")
    assert int(uid) >= 1000
    assert int(gid) >= 1000


def test_the_image_ends_on_sigterm_and_tells_its_health() -> None:
    assert "STOPSIGNAL SIGTERM" in FINAL
    assert any(line.startswith("HEALTHCHECK ") and "/opt/healthcheck.py" in line for line in FINAL)


def test_nothing_is_installed_without_a_hash() -> None:
    installs = [
        part for line in INSTRUCTIONS if line.startswith("RUN ") for part in line.split("&&") if " install " in part
    ]
    assert installs
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install


def test_what_the_build_copies_exists_and_is_sent_to_the_engine() -> None:
    allowed = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in INSTRUCTIONS:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                path = source.removeprefix("./")
                assert (PROJECT / path).exists(), path
                assert path in allowed, f".dockerignore keeps {path} out"


def test_the_ignore_file_lets_nothing_private_through() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = [line[1:] for line in lines if line.startswith("!")]
    for private in (".env", ".ratchet/env", ".git/config", ".venv/bin/python"):
        assert not any(fnmatch(private, f"{pattern}*") for pattern in allowed)


def test_the_build_backend_is_taken_whole_from_the_development_lock() -> None:
    command = next(line for line in INSTRUCTIONS if "awk" in line)
    program = re.search(r"awk '([^']+)'", command)
    assert program is not None
    taken = subprocess.run(
        ["awk", program[1], "requirements-dev.lock"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    locked = set(re.findall(r"^([a-z0-9-]+)==", taken, re.MULTILINE))
    needed = {
        re.split(r"[^A-Za-z0-9-]", line)[0] for line in requires("hatchling") or [] if "python_version" not in line
    }
    assert needed | {"hatchling"} <= locked
    assert len(re.findall(r"^[a-z]", taken, re.MULTILINE)) == len(locked)
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", taken))


def test_every_package_of_the_wheel_lies_in_a_copied_folder() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {line.split()[1] for line in INSTRUCTIONS if line.startswith("COPY ")}
    assert {package.split("/")[0] for package in packages} <= copied


def test_the_health_check_knows_the_ports_of_the_settings() -> None:
    expected = {
        f"RATCHET_{name.upper()}": field.default
        for name, field in Settings.model_fields.items()
        if name.endswith("_port")
    }
    assert expected == _health_check().DEFAULT_PORTS


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_the_health_check_believes_what_the_service_answers(
    status: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = _health_check()
    with _answering(status) as port:
        for name in check.DEFAULT_PORTS:
            monkeypatch.setenv(name, "1")  # nobody listens there
        monkeypatch.setenv("RATCHET_EXECUTOR_PORT", str(port))
        assert check.main() == expected


@contextmanager
def _answering(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _health_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthcheck", PROJECT / "deploy" / "healthcheck.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
