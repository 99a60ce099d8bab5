"""The model: one generation's life as one seed has it, with real scripts, publishers and readers.

`run.py` chooses what happens; `worker.py` and `viewer.py` do what real ones do; `witness.py` holds
each reply against what `known.py` says is due; `replica.py` makes the failovers.
"""
