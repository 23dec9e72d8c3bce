"""Requests that schemathesis makes of our own description of the API, against a real web server."""
