"""The format of a stream, llm-stream(5): records, their lines, their fold and their identity. Pure."""
