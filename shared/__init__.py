"""What may speak to Redis, and the words that the worker and the API agree on.

Imports neither `worker` nor `api`. PROTOCOL.md is the place to start; the packages are layers, `model` lowest.
"""
