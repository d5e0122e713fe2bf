"""The service table: who exists, and who may call whom. The one list that gateway, supervisor and clients range over."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the mesh."""

    name: str
    calls: tuple[str, ...]
    """Services whose methods it calls (events may flow against this order)."""
    grpc: bool = True
    """False for the bridge, which speaks HTTP."""
    fronted: tuple[str, ...] = ()
    """gRPC paths of unary methods that its front takes, a process of its own (embedded profile); see `front`."""


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service("economy", ()),
        Service("regime", ("economy",), fronted=("/eil.regime.v1.RegimeService/Sense",)),
        Service("atlas", ("economy",)),
        Service("nvp", ("atlas", "economy")),
        Service("diffusion", ("nvp", "atlas", "economy")),
        Service("decision", ("regime", "nvp", "diffusion", "economy")),
        Service("proof", ("regime", "decision", "atlas", "economy")),
        Service("market", ("economy", "proof")),
        Service(
            "bridge",
            ("regime", "atlas", "economy", "nvp", "diffusion", "decision", "proof", "market"),
            grpc=False,
        ),
    )
}
"""Every service by name, callees before callers: the order to start in."""
FRONTS: dict[str, str] = {f"{name}-front": name for name, service in SERVICES.items() if service.fronted}
"""The service of each front, by the front's name, which is its socket's, too."""
STATEFUL = ("regime", "atlas", "economy", "nvp", "diffusion", "decision", "proof", "market")
"""Services whose state can be kept in PostgreSQL."""
OUTSIDERS = ("keda",)
"""Programs outside of the mesh that hold a certificate of its CA (common name): each reaches the methods that name it, and nothing else."""
