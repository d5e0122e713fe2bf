"""Ports are held until their user starts."""

import socket

import pytest
from eil_cli.ports import HOST, HeldPort, PortBusy, hold_exactly, hold_first


def test_a_held_port_is_given_to_nobody_else_until_it_is_released() -> None:
    with HeldPort() as held:
        with pytest.raises(PortBusy, match="--port"):
            hold_exactly(held.port)
        with hold_first(held.port) as other:
            assert other.port != held.port
    with hold_exactly(held.port) as again:
        assert again.port == held.port


def test_the_first_free_port_is_preferred() -> None:
    with HeldPort() as first, HeldPort() as second:
        pass
    with HeldPort(first.port), hold_first(first.port, second.port) as got:
        assert got.port == second.port


def test_a_port_shared_by_other_processes_counts_as_taken() -> None:
    """Envoy listens with SO_REUSEPORT: a second mesh must not slip beside it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((HOST, 0))
        listener.listen()
        with pytest.raises(PortBusy):
            hold_exactly(listener.getsockname()[1])
