"""llm-log."""
