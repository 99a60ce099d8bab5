"""What it costs: figures printed for a reader, never asserted. `make bench` runs all."""
