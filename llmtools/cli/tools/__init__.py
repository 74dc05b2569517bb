"""llm-tools."""
