"""`python -m outlive.worker`: the command `outlive worker`."""

import sys

from outlive.cli import main

if __name__ == "__main__":
    main(["worker", *sys.argv[1:]])
