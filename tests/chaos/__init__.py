"""Outlive under faults: real processes, real Redis, and something goes wrong at an exact place.

Each test is one fault, run `CHAOS_RUNS` times from `CHAOS_SEED`; `make chaos` prints what viewers
noticed of each as a table. `fleet.py` is what runs, `trial.py` one run of one fault, `tap.py` what
the workers say to Redis, `verdict.py` what counts as lost, doubled or broken.
"""
