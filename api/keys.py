"""`python -m outlive.api.keys`: makes, lists and revokes API keys, from the environment the API has.

    python -m outlive.api.keys create --tenant acme --name ci     prints the key, once and never again
    python -m outlive.api.keys list
    python -m outlive.api.keys revoke 3f9c0a1b2d4e                 in force everywhere within 5 s
    python -m outlive.api.keys signing-key                         a new one for OUTLIVE_SIGNING_KEYS

A tenant is whatever has a key; it may have several, so that one can be replaced by another.
"""

import argparse
import asyncio
import base64
import os
import secrets
import sys
from datetime import UTC, datetime
from typing import Final

from outlive.shared.errors import OutliveError
from outlive.shared.queue.apikeys import ApiKeys, new_key
from outlive.shared.settings import load
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys

_FAILED: Final = 1
_USAGE_ERROR: Final = 2
_SECRET_BYTES: Final = 32


def main() -> None:
    """Do what the command line says."""
    arguments = _arguments()
    try:
        if arguments.verb == "signing-key":
            print(_signing_key())
            return
        sys.exit(asyncio.run(_run(arguments)))
    except OutliveError as error:
        print(error.message, file=sys.stderr)
        sys.exit(_USAGE_ERROR)


async def _run(arguments: argparse.Namespace) -> int:
    settings = load(os.environ)
    redis = connect(settings.redis_url, connections=1)
    try:
        keys = ApiKeys(redis, Keys(settings.key_prefix))
        match arguments.verb:
            case "create":
                key, text = new_key(arguments.tenant, arguments.name)
                await keys.add(key)
                print(text)
            case "list":
                for key in await keys.all():
                    made = datetime.fromtimestamp(key.created_at, UTC).isoformat(timespec="seconds")
                    print(key.id, made, key.tenant, key.name, sep="  ")
            case "revoke" if not await keys.revoke(arguments.id):
                print(f"There is no key {arguments.id}.", file=sys.stderr)
                return _FAILED
    finally:
        await redis.aclose()
    return 0


def _signing_key() -> str:
    """`<id>:<secret>`; the id is the day, which is what somebody who rotates wants to know."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=")
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(2)}:{secret}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m outlive.api.keys", description="Make, list and revoke API keys.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create", help="make a key and print it, once")
    create.add_argument("--tenant", required=True)
    create.add_argument("--name", default="", help="for the list, so that one knows which to revoke")
    verbs.add_parser("list", help="id, time, tenant and name of each key; no secrets")
    verbs.add_parser("revoke", help="believe this key no more").add_argument("id")
    verbs.add_parser("signing-key", help="print a new key for OUTLIVE_SIGNING_KEYS; nothing is stored")
    return parser.parse_args()


if __name__ == "__main__":
    main()
