"""Ports: nobody else's, and never the same twice."""

import os
import random
import socket
from pathlib import Path

import pytest

from tuner.deploy.listen_port import PortTaken, ReservedPort, owners, reserve_port


def test_two_trials_never_get_the_same_port_even_with_the_same_seed():
    first, second = reserve_port(None, random.Random(1)), reserve_port(None, random.Random(1))
    assert first.number != second.number
    first.close()
    second.close()


def test_a_port_that_was_given_back_may_be_had_again():
    first = reserve_port(None, random.Random(2))
    first.close()
    again = ReservedPort(first.number)
    assert again.number == first.number
    again.close()


def test_free_ports_lie_outside_what_outgoing_connections_and_ray_use():
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for seed in range(20):
        port = reserve_port(None, random.Random(seed))
        assert 20_000 <= port.number < ephemeral
        port.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_on_which_somebody_listens_is_taken_and_says_by_whom(address):
    with socket.create_server((address, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} is taken by pid {os.getpid()} \("):
            ReservedPort(port)
        assert owners(port) == {os.getpid()}
        assert owners(port, among={os.getpid()}) == {os.getpid()}
        assert owners(port, among={1}) == set()


def test_a_connection_that_lingers_does_not_take_the_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listener.accept()
            accepted.close()  # the server closes first: TIME_WAIT is on its side
    ReservedPort(port).close()
