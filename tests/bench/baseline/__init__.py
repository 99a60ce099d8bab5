"""What people would write instead, as the tutorials have it; `make bench` measures it beside us."""
