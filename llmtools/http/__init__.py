"""HTTP requests, responses and their errors. Knows no vendor's protocol; only `transport` does I/O.

Standards: https://www.rfc-editor.org/rfc/rfc9110 (HTTP, Retry-After),
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""
