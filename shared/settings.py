"""Owns every setting: name, default, the reason for the default, and the checks across them.

Pure: reads only the mapping it is handed. Environment variables are `OUTLIVE_` + the field's
name in capitals; the provider's two keep the names the openai SDK gave them. An unknown variable
under our prefix is an error, so a typo dies at start instead of being ignored for a year.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from outlive.shared import redis_url
from outlive.shared.errors import SettingsError
from outlive.shared.upstreams import Upstream, UpstreamName, Upstreams, parsed

PREFIX: Final = "OUTLIVE_"
KEY_ENV: Final = "OPENAI_API_KEY"
ONLY: Final = "default"
"""The name of the one upstream where none is named."""
_DELIVERY_SLACK_S: Final = 60.0

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """All settings, frozen. Built once in each composition root, by `load`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # -- Redis -------------------------------------------------------------------------------
    redis_url: str = "redis://127.0.0.1:6379/0"
    """The queue, and the logs too unless they are elsewhere: `redis://`, `rediss://`, `unix://` or `redis+sentinel://`."""
    log_url: str | None = None
    """The logs, where they are apart from the queue: one of the same, or `redis+cluster://`."""
    key_prefix: str = Field("ol", pattern=r"^[A-Za-z0-9_.:-]{1,40}$")
    """First part of every key of ours, so that several Outlives can share one Redis."""

    # -- Watching it ---------------------------------------------------------------------------
    log_format: Literal["console", "json"] = "console"
    """`console` is for people; `json` has a line per record, with generation, attempt and trace where known."""
    traces: bool = False
    """OpenTelemetry traces by OTLP; where to is `OTEL_EXPORTER_OTLP_ENDPOINT`'s to say. Needs `outlive[otel]`."""

    # -- The life of a generation --------------------------------------------------------------
    lease_s: Seconds = 10.0
    """How long a silent worker keeps its generation. Renewed three times per lease."""
    deadline_s: Seconds = 600.0
    """The whole answer's time, queue included, when the request names none."""
    max_deadline_s: Seconds = 3600.0
    """The most a request may ask for."""
    retention_s: Seconds = 3600.0
    """How long a closed log can still be read, when the request names no other time."""
    max_retention_s: Seconds = 86_400.0
    """The most a request may ask for."""
    max_attempts: Count = 3
    """Attempts that may be lost (worker died, provider broke off) before a generation fails."""

    # -- Worker ----------------------------------------------------------------------------------
    slots: Count = 100
    """Generations one worker process runs at once. They mostly wait for the provider."""
    drain_s: Seconds = 20.0
    """On SIGTERM: how long running generations may go on before they are handed over."""
    full_s: Seconds = 30.0
    """How long a generation waits for a Redis that is full, before it fails with `capacity`."""
    first_token_s: Seconds = 30.0
    """How long the provider may think before its first word."""
    between_tokens_s: Seconds = 30.0
    """How long it may be silent after that. Its comments do not count as words."""
    unflushed_events: Count = 128
    """Per generation: pieces not yet in the log. When full, the provider's socket is not read."""
    max_event_bytes: Count = 16_384
    """A longer piece of text is split at a code point, so that one event stays one small frame."""
    max_output_bytes: Count = 4_194_304
    """Bytes of events one attempt may write; the worker holds them in memory until the end."""
    max_output_tokens: Count = 131_072
    """Of one answer, all turns together; a piece is one at least. A request may ask for no more."""
    worker_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Where a worker answers `/healthz`, `/readyz`, `/metrics`. Nowhere when not set: two on one machine need two."""

    tools: str = Field("", pattern=r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?$")
    """Module whose `@outlive.tool` functions workers run, such as `outlive.deploy.demo_tools`; empty: none."""
    tool_timeout_s: Seconds = 30.0
    """How long a tool may take if it names no time of its own. The model is told, and goes on."""
    tool_rounds: Count = 16
    """How often a model may call tools in one answer. A model that never comes to an end costs money."""
    tool_result_bytes: Count = 65_536
    """A longer result is an error the model is told: each is one event, held and sent as a whole."""
    tool_threads: Count = 16
    """Tools that are not async run in threads, at most this many at once per worker process."""

    # -- Who may do what ---------------------------------------------------------------------
    auth: bool = False
    """Whether callers must say who they are: by API key, or by a token of `jwt_issuer`. Without, all are one tenant."""
    open_to_all: bool = False
    """Serve without `auth` on other addresses than this machine's own, which is refused otherwise."""
    signing_keys: SecretStr | None = None
    """`<id>:<secret>,...` for tokens of single generations: the first signs, all are believed. Needed with `auth`."""
    jwt_issuer: str | None = None
    """`iss` of the tokens that are believed beside API keys, such as `https://login.example.com/`."""
    jwt_audience: str | None = None
    """`aud` they must have; needed with `jwt_issuer`, because a token for another service is none for us."""
    jwt_jwks_url: str | None = Field(None, pattern="^https?://")
    """Where their keys are; `<jwt_issuer>/.well-known/jwks.json` when not set."""
    jwt_tenant_claim: str = "sub"
    """The claim that names the tenant. By default each subject is one: the least that is shared."""

    # -- Limits per tenant, where `auth` asks who it is ----------------------------------------
    tenant_generations: Count = 50
    """Generations one tenant may have queued or running at once. The next one is told 429."""
    tenant_requests: Count = 600
    """Requests a minute, of one tenant and of all tokens for one generation. Opening a stream is none."""

    # -- Limits for everybody ------------------------------------------------------------------
    max_queued: Count = 10_000
    """With so many waiting for a worker nothing more is taken: it would wait past its deadline."""
    memory_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Of Redis' maxmemory. Above it nothing new is begun, so that what runs can be told to its end."""
    viewers: Count = 20_000
    """Per API process; one more is sent to another. Each needs an open file."""
    viewers_per_generation: Count = 20_000
    """Per API process. The next one is told 429."""
    viewers_per_address: Count | None = None
    """Per API process. None when not set: behind a proxy that is not named in `proxies` all have one address."""
    proxies: str = ""
    """Addresses or networks, with commas between, whose `X-Forwarded-For` is believed: its last entry."""
    max_head_bytes: Count = 16_384
    """A longer request line with headers is answered 431. Proxies commonly allow 8 kB for each."""
    request_s: Seconds = 30.0
    """How long a request may take to arrive, body included, before its connection is closed."""

    # -- API ---------------------------------------------------------------------------------
    cors_origins: str = Field("", pattern=r"^(https?://[^,*/ ]+(,https?://[^,*/ ]+)*)?$")
    """Origins, with commas between, whose pages may use the API from a browser. None, unless they are named exactly."""
    max_body_bytes: Count = 1_048_576
    """A larger request body is refused before it is parsed; so is a response with all that it follows."""
    on_disconnect: Literal["continue", "cancel"] = "continue"
    """What becomes of an answer asked for in OpenAI's shapes when its client leaves; a header overrides it."""
    heartbeat_s: Seconds = 15.0
    """A comment to quiet viewers. Proxies commonly cut a silent connection after 60 s."""
    retry_s: Seconds = 1.0
    """The least time viewers wait before they reconnect; jitter adds up to twice as much."""
    viewer_drain_s: Seconds = 2.0
    """On SIGTERM: viewers are sent away spread over this time, so that they do not all come at once."""
    stall_s: Seconds = 30.0
    """A client whose socket accepts nothing for this long is cut; a viewer may resume."""
    feed_bytes: Count = 1_048_576
    """Per watched generation: frames kept in memory. Older ones are read from Redis in pages."""
    feed_linger_s: Seconds = 10.0
    """How long a feed outlives its last viewer, so that a reconnecting one finds it warm."""

    # -- The providers -----------------------------------------------------------------------
    upstreams: Mapping[UpstreamName, Upstream] = {}
    """JSON: a name, and behind it `base_url`, `key_env` or `key_file`, `models` and limits; see Upstreams."""
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    """Without `upstreams`: any OpenAI-compatible server; OpenAI's own when not set."""
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    """Its key; only the worker needs it."""

    @property
    def log_plane_url(self) -> str:
        return self.log_url or self.redis_url

    @property
    def providers(self) -> Upstreams:
        """Those named, or the one that the openai SDK's two variables name."""
        key_env = None if self.openai_api_key is None else KEY_ENV
        only = Upstream(base_url=self.openai_base_url, key_env=key_env, models=("*",))
        return self.upstreams or {ONLY: only}

    @property
    def origins(self) -> list[str]:
        """Whose pages may use the API besides our own."""
        return self.cors_origins.split(",") if self.cors_origins else []

    @property
    def delivery_expiry_s(self) -> float:
        """How long what belongs to a delivery is kept: no generation lives that long."""
        return self.max_deadline_s + _DELIVERY_SLACK_S

    @field_validator("redis_url", "log_url")
    @classmethod
    def _check_address(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None and redis_url.parse(url).kind is redis_url.Kind.CLUSTER and info.field_name == "redis_url":
            raise ValueError("the queue cannot be on a cluster; name it in OUTLIVE_LOG_URL, and one Redis here")
        return url

    @field_validator("upstreams", mode="before")
    @classmethod
    def _read_upstreams(cls, told: object) -> object:
        # Compose files set variables to nothing.
        return parsed(told or "{}") if isinstance(told, str) else told

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.deadline_s > self.max_deadline_s:
            raise ValueError("OUTLIVE_DEADLINE_S is above OUTLIVE_MAX_DEADLINE_S")
        if self.retention_s > self.max_retention_s:
            raise ValueError("OUTLIVE_RETENTION_S is above OUTLIVE_MAX_RETENTION_S")
        if self.feed_bytes < self.max_event_bytes:
            raise ValueError("OUTLIVE_FEED_BYTES is below OUTLIVE_MAX_EVENT_BYTES")
        if self.jwt_issuer and not self.jwt_audience:
            raise ValueError("OUTLIVE_JWT_ISSUER needs OUTLIVE_JWT_AUDIENCE")
        if self.upstreams and self.openai_base_url:
            raise ValueError("OPENAI_BASE_URL means nothing beside OUTLIVE_UPSTREAMS; name it there")
        return self


def load(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises `SettingsError` with one sentence per mistake."""
    provider = {"OPENAI_BASE_URL", KEY_ENV}
    known = {PREFIX + name.upper(): name for name in Settings.model_fields if not name.startswith("openai_")}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"There is no setting {', '.join(unknown)}; see docs/settings.md.")
    values: dict[str, Any] = {known[name]: value for name, value in environ.items() if name in known}
    values |= {name: value for name, value in environ.items() if name in provider and value}
    try:
        return _Exactly(**values)
    except ValidationError as error:
        raise SettingsError(" ".join(_sentence(e["loc"], e["msg"]) for e in error.errors())) from error


class _Exactly(Settings):
    """Settings from the given mapping alone: pydantic-settings would read os.environ as well."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *others: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    name = str(place[0]) if place else ""
    shown = name if name.isupper() or not name else PREFIX + name.upper()
    # Inside a setting: which of its entries, and which word of that.
    shown = ".".join([shown, *(str(part) for part in place[1:] if part != "[key]")])
    message = message.removeprefix("Value error, ")
    return f"{shown}: {message}." if shown else f"{message}."
