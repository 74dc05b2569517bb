"""HTTP as the tools need it. Knows no vendor and no model; only `transport` does I/O."""
