"""Owns the names of all Redis keys and the partition a generation falls into.

Pure. All keys of one generation share the hash tag `{partition}`, so one script may touch all of them on a Redis
Cluster too. 64 partitions are enough to spread over any cluster one would run, and few enough to look at each.
"""

from typing import Final
from zlib import crc32

PARTITIONS: Final = 64


class Keys:
    """Key names under one prefix. Every method returns one full key."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.wake = f"{prefix}:wake"
        self.queue = f"{prefix}:queue"
        self.hints = f"{prefix}:hints"
        self.active = f"{prefix}:active"
        """Sorted set on the queue plane: queued or running generation -> its deadline."""
        self.api_keys = f"{prefix}:api_keys"
        """Hash on the queue plane: id of an API key -> its tenant, name and time, and the hash of its secret."""
        self.swept = f"{prefix}:{{00}}:swept"

    def active_of(self, tenant: str) -> str:
        """Sorted set on the queue plane: one tenant's reservations -> when each expires."""
        return f"{self.active}:{tenant}"

    def holder(self, generation_id: str) -> str:
        """Hash on the queue plane: the tenant whose reservation this generation holds, and until when."""
        return f"{self.prefix}:holder:{generation_id}"

    def stored(self, tenant: str) -> str:
        """Sorted set on the queue plane: a tenant's generations that take memory -> until when."""
        return f"{self.prefix}:stored:{tenant}"

    def stored_bytes(self, tenant: str) -> str:
        """Hash on the queue plane: each of these generations -> its bytes; `total` -> their sum."""
        return f"{self.prefix}:stored_bytes:{tenant}"

    def requests(self, subject: str) -> str:
        """Counter on the queue plane: requests within a minute by a tenant, or with one generation's tokens."""
        return f"{self.prefix}:requests:{subject}"

    def meta(self, generation_id: str) -> str:
        """Hash: state, epoch, seq, lease, totals. Outlives the log by a day, as a tombstone."""
        return self._of(generation_id, "meta")

    def log(self, generation_id: str) -> str:
        """Stream: the events."""
        return self._of(generation_id, "log")

    def request(self, generation_id: str) -> str:
        """String: the request's JSON. Not in meta, so that reading meta stays cheap."""
        return self._of(generation_id, "request")

    def viewers(self, generation_id: str) -> str:
        """Hash: API process -> its number of viewers."""
        return self._of(generation_id, "viewers")

    def processes(self, partition: int) -> str:
        """Sorted set: API process with viewers in this partition -> until when it is believed to live, in Redis ms."""
        return f"{self.prefix}:{{{partition:02d}}}:processes"

    def probe(self, process: str) -> str:
        """Stream: one API process writes it to measure how late it reads. Its id decides the partition."""
        return self._of(process, "probe")

    def delivery(self, generation_id: str) -> str:
        """String on the queue plane: the number of the last enqueued delivery."""
        return f"{self.prefix}:delivery:{generation_id}"

    def deadlines(self, partition: int) -> str:
        """Sorted set: open generation -> when it must have moved by, in Redis ms."""
        return f"{self.prefix}:{{{partition:02d}}}:deadlines"

    def written(self, partition: int) -> str:
        """String: a write before WAIT, which covers only writes of its own connection."""
        return f"{self.prefix}:{{{partition:02d}}}:written"

    def index(self, partition: int, tenant: str) -> str:
        """Sorted set: generation -> time of creation, for listing."""
        return f"{self.prefix}:{{{partition:02d}}}:index:{tenant}"

    def of_script(self, generation_id: str) -> list[str]:
        """The keys of every script on one generation, in the order of `lua/prelude/generation.lua`."""
        return [
            self.meta(generation_id),
            self.log(generation_id),
            self.deadlines(partition_of(generation_id)),
            self.request(generation_id),
            self.viewers(generation_id),
        ]

    def _of(self, generation_id: str, part: str) -> str:
        return f"{self.prefix}:{{{partition_of(generation_id):02d}}}:{generation_id}:{part}"


def partition_of(generation_id: str) -> int:
    """0..63, the same on every machine and in every version."""
    return crc32(generation_id.encode()) % PARTITIONS
