"""What the worker and the API must agree on: the log, its protocol, and the words for both.

Imports neither `worker` nor `api`. Start with PROTOCOL.md.
"""
