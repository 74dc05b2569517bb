"""One request and its response, as the records of a stream."""
