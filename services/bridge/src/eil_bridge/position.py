"""A place in all followed journals at once, as text: the `id` of a message, from which a stream goes on after a break."""

from collections.abc import Mapping

LARGEST_OFFSET = 2**63 - 1
LONGEST = 1024


def encode(reached: Mapping[str, int]) -> str:
    """`decision.33-regime.120`: the newest offset that was passed, by service. Fit for a query and for a header."""
    return "-".join(f"{service}.{reached[service]}" for service in sorted(reached))


def decode(text: str, services: frozenset[str]) -> dict[str, int]:
    """What `encode` wrote.

    Raises:
        ValueError: it never did, or a service is not one of `services`.
    """
    if len(text) > LONGEST:
        raise ValueError("too long")
    reached: dict[str, int] = {}
    for part in text.split("-"):
        service, _, digits = part.partition(".")
        if service not in services or service in reached or not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"{part[:64]!r} is no place in a journal")
        reached[service] = int(digits)
        if reached[service] > LARGEST_OFFSET:
            raise ValueError(f"{part[:64]!r} is beyond the end of any journal")
    return reached
