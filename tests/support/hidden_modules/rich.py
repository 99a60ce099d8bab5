"""Found before the real one by programs of ours that tests start: there is none where Outlive is installed.

It comes with tools for tests, structlog takes it where it finds it, and it is never asked for anything:
importing it was an eighth of what a process costs to start, and starting them two thirds of what
end-to-end tests cost.
"""

raise ModuleNotFoundError("rich is not installed", name="rich")
