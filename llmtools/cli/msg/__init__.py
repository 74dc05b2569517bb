"""llm-msg."""
