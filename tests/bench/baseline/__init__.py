"""What people would write instead, as tutorials show it; `make bench` measures it beside Outlive."""
