"""Who serves models, where, and with which key."""
