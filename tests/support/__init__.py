"""What the tests have in common: no test is in here, and nothing of llmtools imports it.

harness and server are what most tests use: real processes in a folder of their own, and a
scripted HTTP server. decoding, records and strategies make records for the pure tests.
"""
