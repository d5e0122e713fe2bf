"""Traces of an embedded mesh: told to the services and the door by their environment."""

import os
from collections.abc import Mapping
from typing import Any

OTLP, TRACED = "EIL_GATEWAY_OTLP", "EIL_GATEWAY_TRACED"


def variables(otlp: str, traced: float) -> dict[str, str]:
    """Variables that have traces exported to a collector, and begun for a share of the requests."""
    return {"EIL_MESH_OTLP_ENDPOINT": otlp, OTLP: otlp, TRACED: str(traced)}


def of_door(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What these variables say to the door."""
    if not (otlp := environ.get(OTLP, "")):
        return {}
    return {"otlp": otlp, "traced": float(environ.get(TRACED, "0.01"))}
