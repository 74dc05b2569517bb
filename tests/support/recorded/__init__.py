"""Recorded replies of each protocol: which there are, what our decoder makes of one, and what the
vendor's own client would make of it, put together here without the code under test.
"""
