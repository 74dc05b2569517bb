"""The Python face: models, responses and conversations as objects."""
