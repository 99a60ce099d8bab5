"""The tools that a worker runs itself: plain functions, described to the model and run for it."""
