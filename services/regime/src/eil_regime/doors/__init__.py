"""Doors that agents already know: OTLP and Prometheus remote-write. Whatever the door, its points end as batches of `Ingest`."""
