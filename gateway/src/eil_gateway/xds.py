"""Envoy's configuration as plain values: names of its types, written once."""

from typing import Any

Json = dict[str, Any]
"""One JSON object of the configuration."""


def typed(kind: str, **fields: Any) -> Json:
    """A message of a named type, `kind` without the leading package `envoy.` (or whole, for other packages)."""
    return {"@type": f"type.googleapis.com/envoy.{kind}", **fields}


def extension(name: str, kind: str, **fields: Any) -> Json:
    """A named extension with its configuration."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def http_filter(name: str, package: str, message: str, **fields: Any) -> Json:
    """An HTTP filter `envoy.filters.http.<name>`."""
    return extension(f"envoy.filters.http.{name}", f"extensions.filters.http.{package}.v3.{message}", **fields)


def http2_upstream() -> Json:
    """Protocol options of a cluster that speaks HTTP/2."""
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = typed(name.removeprefix("envoy."), explicit_http_config={"http2_protocol_options": {}})
    return {name: options}
