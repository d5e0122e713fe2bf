"""WebSocket stream, Model Context Protocol and aggregate health."""
