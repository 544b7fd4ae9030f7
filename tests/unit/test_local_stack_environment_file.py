"""The environment file is current, complete and readable by its owner alone."""

import stat
import subprocess

import pytest
from local_stack.environment_file import EnvironmentFile, read_environment, render

AWKWARD = {
    "RATCHET_DATABASE_URL": "postgresql://ratchet:p%40ss@127.0.0.1:5432/ratchet?sslmode=disable&x=1",
    "RATCHET_JWT_SECRET": "a b#c$d;e",
    "RATCHET_WORKFLOWS": "one,two",
}


def test_every_value_comes_back_as_it_was(tmp_path):
    EnvironmentFile(tmp_path / "env").set(AWKWARD)
    assert read_environment(tmp_path / "env") == AWKWARD


def test_a_shell_reads_the_same_values(tmp_path):
    EnvironmentFile(tmp_path / "env").set(AWKWARD)
    script = (
        f'set -a; . {tmp_path}/env; printf "%s|" "$RATCHET_DATABASE_URL" "$RATCHET_JWT_SECRET" "$RATCHET_WORKFLOWS"'
    )
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.split("|")[:-1] == list(AWKWARD.values())


def test_only_the_owner_can_read_it(tmp_path):
    EnvironmentFile(tmp_path / "env").set({"A": "1"})
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_a_change_replaces_one_value_and_keeps_the_others(tmp_path):
    file = EnvironmentFile(tmp_path / "env")
    file.set({"RATCHET_EXECUTOR_PID": "1", "A": "1"})
    file.set({"RATCHET_EXECUTOR_PID": "2"})
    assert read_environment(tmp_path / "env") == {"RATCHET_EXECUTOR_PID": "2", "A": "1"}


def test_a_discarded_value_is_gone_and_discarding_twice_does_no_harm(tmp_path):
    file = EnvironmentFile(tmp_path / "env")
    file.set({"A": "1", "B": "2"})
    file.discard("A")
    file.discard("A")
    assert read_environment(tmp_path / "env") == {"B": "2"}


def test_nothing_but_the_file_is_left_in_the_folder_after_many_changes(tmp_path):
    file = EnvironmentFile(tmp_path / "env")
    for number in range(20):
        file.set({"A": str(number)})
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_a_removed_file_reads_as_empty(tmp_path):
    file = EnvironmentFile(tmp_path / "env")
    file.set({"A": "1"})
    file.remove()
    assert read_environment(tmp_path / "env") == {}


def test_a_value_with_a_line_break_is_refused():
    with pytest.raises(ValueError, match="line break"):
        render({"A": "one\ntwo"})
