"""Owns the look at a place before Outlive is run there: `python -m outlive.deploy.doctor`.

    python -m outlive.deploy.doctor [--no-upstream]

Reads the same environment as API and worker, asks Redis, the provider and this machine, changes
nothing, and says what to do about each finding. Exit code 0: fit, perhaps with warnings; 1:
something must be changed; 2: a setting is wrong.

`findings` judges and knows no I/O; `looks` asks; `__main__` says.
"""
