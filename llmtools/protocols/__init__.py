"""The protocols: one file each, no I/O; none imports another."""
