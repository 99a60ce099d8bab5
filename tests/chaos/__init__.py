"""Outlive under faults: real processes, real Redis, and something fails at an exact moment.

Each test is one fault. It runs `CHAOS_RUNS` times, with choices from `CHAOS_SEED`; `make chaos` prints a table of
what viewers noticed. `deployment.py` owns the processes, `fault_run.py` one run of one fault, `redis_tap.py` what
the workers send to Redis, `fault_cost.py` what counts as lost, doubled or broken, `fault_table.py` the table.

A test reads in this order: start answers, `fault_begins`, do the harm, `fault_ends`, and
`check_nothing_lost_or_doubled`.
"""
