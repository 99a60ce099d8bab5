"""Owns the answer to: whose request is this?

The one place that says it. Everything else asks `Tenant` and takes it as given.
"""

from typing import Annotated, Final

from fastapi import Depends

DEFAULT_TENANT: Final = "default"


def tenant_of() -> str:
    """The tenant this request belongs to. There is one so far, and no authentication."""
    return DEFAULT_TENANT


Tenant = Annotated[str, Depends(tenant_of)]
