"""The door: Envoy's configuration, generated from the protos and the service list."""
