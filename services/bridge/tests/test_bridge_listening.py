"""Where the bridge listens: `[::]` is every address, of either family."""

import socket

import pytest
from eil_bridge.web import _listening


@pytest.mark.parametrize(("host", "clients"), [("::", ["127.0.0.1", "::1"]), ("127.0.0.1", ["127.0.0.1"])])
def test_every_address_is_every_address(host, clients):
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with _listening(host, 0) as listener:
        for client in clients:
            socket.create_connection((client, listener.getsockname()[1]), 2).close()
