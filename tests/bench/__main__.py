"""`python -m tests.bench [PART...]`: all workloads, or these, as one table. Nothing is asserted.

Best with nothing else running: the server has one core, its load the other.
"""

import argparse
import asyncio
import time

from tests.bench.table import print_table
from tests.bench.workloads import PARTS, PEERS


async def main(names: list[str]) -> None:
    rows = []
    for name in names:
        began = time.monotonic()
        for figure in await PARTS[name]():
            cells = [figure.cells.get(peer.name, "") for peer in PEERS]
            rows.append((figure.name, (*cells, figure.aim)))
            # Keep the figures so far if a later part fails.
            print(*rows[-1], flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    print_table("Measured", (*(peer.name for peer in PEERS), "aim"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}; all if none is named")
    asyncio.run(main(parser.parse_args().parts))
