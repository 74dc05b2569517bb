"""The log: every conversation kept once, as a graph of messages, in one SQLite database.

Nothing else of the package imports sqlite3, and nothing is imported here.
"""
