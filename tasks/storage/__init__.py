"""Redis: connections, keys, the embedded server, backup and erasure."""
