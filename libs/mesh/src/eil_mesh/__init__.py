"""What every EIL service stands on: server, client, settings, errors, identity, journal and telemetry."""
