"""Only this stack's own processes are ever ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from local_stack.folder import StackFolder
from local_stack.processes import (
    MARK_VARIABLE,
    ProcessLedger,
    ProcessRecord,
    end_families,
    end_leftovers,
    is_alive,
    record_of,
    send,
    start_mark,
    wait_until_gone,
)

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def folder(tmp_path):
    return StackFolder.at(tmp_path / "stack")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen]:
    """A stranger: a process that does not belong to the stack."""
    process = subprocess.Popen(SLEEP, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def recorded(process: subprocess.Popen) -> ProcessRecord:
    record = record_of("sleeper", process.pid)
    assert record is not None
    return record


def test_a_process_keeps_its_start_mark_while_it_lives(sleeper):
    assert start_mark(sleeper.pid) == start_mark(sleeper.pid) is not None


def test_an_ended_process_has_no_start_mark_even_before_it_is_reaped(sleeper):
    record = recorded(sleeper)
    os.kill(sleeper.pid, signal.SIGKILL)
    assert wait_until_gone([record], timedelta(seconds=5)) == []
    assert start_mark(sleeper.pid) is None


def test_the_same_pid_with_another_start_time_is_a_stranger(sleeper):
    stranger = replace(recorded(sleeper), started="some other time")
    assert not is_alive(stranger)
    send(stranger, signal.SIGKILL)
    end_families([stranger], signal.SIGKILL, timedelta())
    assert sleeper.poll() is None


def test_leftovers_that_were_recorded_are_ended(folder, sleeper):
    ledger = ProcessLedger(folder)
    ledger.add(recorded(sleeper))
    assert [record.pid for record in end_leftovers(folder)] == [sleeper.pid]
    assert sleeper.wait(timeout=5) == -signal.SIGTERM
    assert ledger.read() == []


def test_a_stranger_with_a_recorded_pid_survives_the_clean_up(folder, sleeper):
    ProcessLedger(folder).add(replace(recorded(sleeper), started="before the machine was restarted"))
    assert end_leftovers(folder) == []
    assert sleeper.poll() is None


def test_a_process_that_carries_the_folders_mark_is_ended_though_nobody_recorded_it(folder):
    marked = subprocess.Popen(SLEEP, start_new_session=True, env={**os.environ, MARK_VARIABLE: str(folder.root)})
    assert [record.pid for record in end_leftovers(folder)] == [marked.pid]
    assert marked.wait(timeout=5) == -signal.SIGTERM


def test_the_mark_of_another_folder_protects_a_process(folder):
    other = subprocess.Popen(SLEEP, start_new_session=True, env={**os.environ, MARK_VARIABLE: f"{folder.root}-2"})
    try:
        assert end_leftovers(folder) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_who_ignores_the_signal_is_killed_with_everything_it_started(folder):
    stubborn = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout as output:
        child = record_of("child", int(output.readline()))
    assert child is not None
    end_families([recorded(parent)], signal.SIGTERM, timedelta(seconds=0.2))
    assert parent.wait(timeout=5) == -signal.SIGKILL
    assert wait_until_gone([child], timedelta(seconds=5)) == []


def test_records_written_by_several_starts_at_once_are_all_kept(folder):
    records = [ProcessRecord(f"server-{number}", 1000 + number, "then") for number in range(3)]
    for record in records:
        ProcessLedger(folder).add(record)
    assert ProcessLedger(folder).read() == records
