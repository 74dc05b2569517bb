"""llm-send."""
