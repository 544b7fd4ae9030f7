"""Private ports are chosen once and change only when somebody else has taken them."""

import socket

import pytest
from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.ports import HIGHEST, LOWEST, assign_ports, choose_port, is_free, private_ports


def test_a_known_port_is_kept_while_it_is_free():
    assert assign_ports(["postgres"], {"postgres": 21_000}, free=lambda _port: True) == {"postgres": 21_000}


def test_a_known_port_that_somebody_took_is_replaced():
    assigned = assign_ports(["postgres"], {"postgres": 21_000}, free=lambda port: port != 21_000)
    assert assigned["postgres"] != 21_000


def test_two_names_never_get_the_same_port():
    assigned = assign_ports([f"name-{number}" for number in range(100)], {}, free=lambda _port: True)
    assert len(set(assigned.values())) == 100


def test_a_port_of_another_name_stays_reserved():
    everything_but_one = range(LOWEST + 1, HIGHEST + 1)
    with pytest.raises(StackError):
        choose_port(everything_but_one, free=lambda port: port != LOWEST)
    assert assign_ports(["a"], {"b": LOWEST}, free=lambda _port: True)["b"] == LOWEST


def test_chosen_ports_lie_below_the_ports_of_outgoing_connections():
    assert all(LOWEST <= choose_port([], free=lambda _port: True) <= HIGHEST < 32_768 for _ in range(50))


def test_when_no_port_is_free_the_error_says_what_to_do():
    with pytest.raises(StackError, match="End some of what is listening"):
        choose_port([], free=lambda _port: False)


def test_a_port_is_taken_while_somebody_listens_and_free_afterwards():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_the_folder_remembers_its_ports(tmp_path):
    folder = StackFolder.at(tmp_path / "stack")
    assert private_ports(folder, ["a", "b"]) == private_ports(folder, ["a", "b"])


def test_a_damaged_ports_file_is_no_obstacle(tmp_path):
    folder = StackFolder.at(tmp_path / "stack")
    folder.ports_file.write_text('{"a": "nonsense"')
    assert private_ports(folder, ["a"])["a"] >= LOWEST
