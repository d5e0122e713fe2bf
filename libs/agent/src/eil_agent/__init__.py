"""Telemetry of this machine and of recordings."""

from eil_agent.host import HostReader, Reading
from eil_agent.power import Method, PowerCurve, PowerUnavailableError
from eil_agent.probes import Probes
from eil_agent.recording import Recording, RecordingError, read_recording

__all__ = [
    "HostReader",
    "Method",
    "PowerCurve",
    "PowerUnavailableError",
    "Probes",
    "Reading",
    "Recording",
    "RecordingError",
    "read_recording",
]
