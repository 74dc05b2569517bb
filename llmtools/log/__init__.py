"""The log: every conversation, stored once as a graph of messages in one SQLite database.

No other package imports sqlite3. Importing this package imports nothing else.
"""
