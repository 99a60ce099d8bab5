"""Ways of telling a log. The native one is `native.py`; who adds another lists its routes in `registry.py`."""
