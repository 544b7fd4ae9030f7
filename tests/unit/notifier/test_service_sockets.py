"""The socket that every service listens on."""

import socket

import pytest
from ratchet.service import UNREAD_LIMIT, claim_port


def test_a_claimed_port_refuses_connections_until_somebody_listens_and_then_belongs_to_nobody_else() -> None:
    with claim_port("127.0.0.1", 0) as claimed:
        port = claimed.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        claimed.listen()
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        with pytest.raises(OSError, match="in use"):
            claim_port("127.0.0.1", port)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can do that")
def test_connections_inherit_the_limit_on_what_stays_unread() -> None:
    with claim_port("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as connection:
            limit = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert limit == UNREAD_LIMIT.total_seconds() * 1000


def test_a_port_of_the_wrong_address_is_an_error() -> None:
    with pytest.raises(OSError, match=r"."):
        claim_port("203.0.113.1", 0)
