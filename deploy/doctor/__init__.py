"""Owns `outlive doctor`: it examines an environment before Outlive runs there.

Reads the environment that the API and the workers read, examines Redis, the providers and this
machine, changes nothing, and says what to do about each finding. Exit code 0: fit, perhaps with
warnings; 1: something must be changed; 2: a setting is wrong.

`findings` judges and does no I/O; `inspections` ask; `examination` prints.
"""
