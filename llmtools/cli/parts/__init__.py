"""llm-parts."""
