"""What tests are built on: real Redis processes, real servers, and viewers of our own. README.md is the index.

Nothing here imports the API, and of the worker only its metrics: servers are known by what is documented.
"""
