"""What the tests stand on: real Redis processes, real servers, and a viewer nobody else wrote.

Nothing here imports `worker` or `api`; what is known of them is what is documented.
"""
