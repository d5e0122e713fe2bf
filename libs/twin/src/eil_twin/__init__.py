"""Simulated fleets that obey actions."""

from eil_twin.fleet import Fleet, Truth
from eil_twin.server import Server
from eil_twin.thermal import ThermalNode, ThermalStep

__all__ = ["Fleet", "Server", "ThermalNode", "ThermalStep", "Truth"]
