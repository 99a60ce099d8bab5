"""Hides the real `rich` from our programs when tests start them: it is not there where Outlive is installed.

Only test tools bring it. structlog imports it if it is there, and never uses it. That import took an eighth of the
start of a process, and starting processes took two thirds of the time of end-to-end tests.
"""

raise ModuleNotFoundError("rich is not installed", name="rich")
