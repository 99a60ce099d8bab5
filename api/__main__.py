"""`python -m outlive.api`: the command `outlive api`."""

import sys

from outlive.cli import main

if __name__ == "__main__":
    main(["api", *sys.argv[1:]])
