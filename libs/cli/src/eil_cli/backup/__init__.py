"""Backups of a state folder: one instant of all services, kept as chunks that backups share."""
