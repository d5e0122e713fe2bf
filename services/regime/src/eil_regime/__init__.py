"""Telemetry in; energy state and operating regime out."""
