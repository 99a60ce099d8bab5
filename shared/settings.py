"""Owns every setting: name, default, the reason for the default, and the checks across them.

Pure: reads only the mapping it is given. An environment variable is `OUTLIVE_` + the field's name in capitals; the two
of the provider keep the names that the openai SDK gave them. An unknown variable with our prefix is an error, so a typo
stops the process at start instead of being ignored for a year.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from outlive.shared import redis_url, setting_formats
from outlive.shared.errors import SettingsError
from outlive.shared.upstreams import Upstream, UpstreamName, Upstreams, parsed

PREFIX: Final = "OUTLIVE_"
KEY_ENV: Final = "OPENAI_API_KEY"
ONLY: Final = "default"
"""The name of the one upstream when the operator names none."""
_DELIVERY_SLACK_S: Final = 60.0

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Name = Annotated[str, AfterValidator(setting_formats.name)]


class Settings(BaseSettings):
    """All settings, frozen. Built once in each composition root, by `load`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # -- Redis -------------------------------------------------------------------------------
    redis_url: str = "redis://127.0.0.1:6379/0"
    """The queue, and the logs unless `log_url` is set: `redis://`, `rediss://`, `unix://` or `redis+sentinel://`."""
    log_url: str | None = None
    """The logs, when they are not beside the queue: the same schemes, or `redis+cluster://`."""
    key_prefix: str = Field("ol", pattern=r"^[A-Za-z0-9_.:-]{1,40}$")
    """First part of every key, so that several Outlives can share one Redis."""

    # -- Logs and traces ---------------------------------------------------------------------------
    log_format: Literal["console", "json"] = "console"
    """`console` is for people; `json` is one line per record, with generation, attempt and trace where known."""
    traces: bool = False
    """Send OpenTelemetry traces by OTLP to `OTEL_EXPORTER_OTLP_ENDPOINT`. Needs `outlive[otel]`."""

    # -- The life of a generation --------------------------------------------------------------
    lease_s: Seconds = 10.0
    """How long a silent worker keeps its generation. A worker renews three times per lease."""
    deadline_s: Seconds = 1800.0
    """Time for the whole answer, queue included, when the request names none."""
    max_deadline_s: Seconds = 3600.0
    """The longest deadline that a request may ask for."""
    retention_s: Seconds = 3600.0
    """How long a closed log stays readable, when the request names no other time."""
    max_retention_s: Seconds = 86_400.0
    """The longest retention that a request may ask for."""
    max_attempts: Count = 3
    """Attempts before a generation fails, when they are lost (worker died, provider broke off)."""

    # -- Worker ----------------------------------------------------------------------------------
    slots: Count = 100
    """Generations that one worker process runs at once. They mostly wait for the provider."""
    drain_s: Seconds = 20.0
    """On SIGTERM: how long running generations may go on before the worker hands them over."""
    full_s: Seconds = 30.0
    """How long a generation waits while Redis is full, before it fails with `capacity`."""
    first_token_s: Seconds = 300.0
    """How long the provider may send no byte at all before the first piece of an answer: models think, load and
    queue."""
    between_tokens_s: Seconds = 120.0
    """The same between pieces. Anything it sends, a comment too, shows that it lives; then only the deadline runs."""
    unflushed_events: Count = 128
    """Per generation: pieces not yet in the log. At this many the worker stops reading the provider's socket."""
    max_event_bytes: Count = 16_384
    """The worker splits a longer piece of text at a code point, so that one event stays one small frame."""
    max_output_bytes: Count = 4_194_304
    """Bytes of events that one attempt may write; the worker holds them in memory until the end."""
    max_output_tokens: Count = 131_072
    """Tokens of one answer over all its model turns; a piece counts as at least one. A request may not ask for more."""
    worker_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Port of a worker's `/healthz`, `/readyz`, `/metrics`; off when not set. Two workers on one machine need two."""

    tools: str = Field("", pattern=r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?$")
    """Module whose `@outlive.tool` functions the worker runs, such as `outlive.deploy.demo_tools`; off when empty."""
    tool_timeout_s: Seconds = 30.0
    """How long a tool may take, unless it names its own time. Then the model gets an error and goes on."""
    tool_rounds: Count = 16
    """How many times a model may call tools in one answer, because a model that never stops costs money."""
    tool_result_bytes: Count = 65_536
    """The model gets an error instead of a longer result: each result is one event, held and sent as a whole."""
    tool_threads: Count = 16
    """Tools that are not async run in threads: at most this many at once per worker process."""

    # -- Authentication ---------------------------------------------------------------------
    auth: bool = False
    """Require an API key or a token of `jwt_issuer`. Without it all callers are one tenant."""
    open_to_all: bool = False
    """Allow an API without `auth` to serve other addresses than this machine's own."""
    signing_keys: Annotated[SecretStr, AfterValidator(setting_formats.signing_keys)] | None = None
    """`<id>:<secret>,...` for tokens of single generations: the first signs, all are accepted. Needed with `auth`."""
    jwt_issuer: Name | None = None
    """`iss` of the tokens that are accepted beside API keys, such as `https://login.example.com/`."""
    jwt_audience: Name | None = None
    """`aud` of these tokens. Needed with `jwt_issuer`, because a token for another service must not work here."""
    jwt_jwks_url: str | None = Field(None, pattern="^https?://")
    """Where the issuer publishes its keys; `<jwt_issuer>/.well-known/jwks.json` when not set."""
    jwt_tenant_claim: Name = "sub"
    """The claim that names the tenant. By default each subject is a tenant, which shares least."""

    # -- Limits per tenant, with `auth` ----------------------------------------
    tenant_generations: Count = 50
    """Generations that one tenant may have queued or running at once. The next one gets 429."""
    tenant_stored_bytes: Count = 268_435_456
    """Memory of Redis for one tenant's requests and answers: a quarter of 1 GiB. Above it new ones get 429."""
    tenant_requests: Count = 600
    """Requests a minute for one tenant, and for all tokens of one generation. Opening a stream does not count."""

    # -- Limits for all callers ------------------------------------------------------------------
    max_queued: Count = 10_000
    """When this many wait for a worker, the API accepts no more: they would wait past their deadline."""
    memory_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of Redis's maxmemory. Above it the API starts nothing new, so that running answers can finish."""
    viewers: Count = 20_000
    """Per API process; the next viewer is sent to another process. Each viewer needs an open file."""
    viewers_per_generation: Count = 20_000
    """Per API process. The next viewer gets 429."""
    viewers_per_address: Count | None = None
    """Per API process. Off when not set, because behind a proxy that is not in `proxies` all share one address."""
    proxies: Annotated[str, AfterValidator(setting_formats.networks)] = ""
    """Addresses or networks, separated by commas, whose `X-Forwarded-For` counts: its last entry."""
    max_head_bytes: Count = 16_384
    """A longer request line with headers gets 431. Proxies commonly allow 8 kB for each."""
    request_s: Seconds = 30.0
    """How long a request may take to arrive, body included, before the API closes its connection."""

    # -- API ---------------------------------------------------------------------------------
    cors_origins: str = Field("", pattern=r"^(https?://[^,*/ ]+(,https?://[^,*/ ]+)*)?$")
    """Origins, separated by commas, whose pages may use the API from a browser. Each must be named exactly."""
    max_body_bytes: Count = 20_971_520
    """So that a photo fits. A larger body is refused before parsing; so is a response with what it continues."""
    bodies_in_flight_bytes: Count = 268_435_456
    """Per API process: bytes of bodies that are received and not yet stored. Above it new bodies get 503."""
    on_disconnect: Literal["continue", "cancel"] = "continue"
    """What happens to an answer on OpenAI's wires when its client leaves; a header overrides it."""
    heartbeat_s: Seconds = 15.0
    """Time between comments to a quiet viewer. Proxies commonly cut a silent connection after 60 s."""
    retry_s: Seconds = 1.0
    """Minimum time before a viewer reconnects; jitter adds up to twice as much."""
    viewer_drain_s: Seconds = 2.0
    """On SIGTERM: the API sends its viewers away over this time, so that they do not all reconnect at once."""
    stall_s: Seconds = 30.0
    """The API cuts a client whose socket accepts nothing for this long; a viewer may resume."""
    feed_bytes: Count = 1_048_576
    """Per watched generation: bytes of frames kept in memory. Older ones are read from Redis in pages."""
    feed_linger_s: Seconds = 10.0
    """How long a feed stays in memory after its last viewer, for one that reconnects."""

    # -- The providers -----------------------------------------------------------------------
    upstreams: Mapping[UpstreamName, Upstream] = {}
    """JSON: for each name its `base_url`, `key_env` or `key_file`, `models` and limits; see upstreams.md."""
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    """Without `upstreams`: any OpenAI-compatible server. OpenAI's own when not set."""
    openai_api_key: Annotated[SecretStr, AfterValidator(setting_formats.key)] | None = Field(
        None, validation_alias="OPENAI_API_KEY"
    )
    """Its key; only the worker needs it."""

    @property
    def log_plane_url(self) -> str:
        """Where the logs are."""
        return self.log_url or self.redis_url

    @property
    def providers(self) -> Upstreams:
        """The upstreams that the operator named, or the one of the openai SDK's two variables."""
        key_env = None if self.openai_api_key is None else KEY_ENV
        only = Upstream(base_url=self.openai_base_url or None, key_env=key_env, models=("*",))
        return self.upstreams or {ONLY: only}

    @field_validator("openai_base_url")
    @classmethod
    def _check_base_url(cls, url: str | None) -> str | None:
        try:
            return Upstream(base_url=url or None, models=("*",)).base_url
        except ValidationError as error:
            # One sentence, as of any other setting, before anything is started.
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None

    @property
    def origins(self) -> list[str]:
        """Origins whose pages may use the API besides our own."""
        return self.cors_origins.split(",") if self.cors_origins else []

    @property
    def delivery_expiry_s(self) -> float:
        """How long the keys of a delivery are kept: longer than any generation runs."""
        return self.max_deadline_s + _DELIVERY_SLACK_S

    @field_validator("redis_url", "log_url")
    @classmethod
    def _check_address(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None and redis_url.parse(url).kind is redis_url.Kind.CLUSTER and info.field_name == "redis_url":
            raise ValueError("the queue cannot be on a cluster; set OUTLIVE_LOG_URL to the cluster, this to one Redis")
        return url

    @field_validator("upstreams", mode="before")
    @classmethod
    def _read_upstreams(cls, value: object) -> object:
        # Compose files set variables to nothing.
        return parsed(value or "{}") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.deadline_s > self.max_deadline_s:
            raise ValueError("OUTLIVE_DEADLINE_S is above OUTLIVE_MAX_DEADLINE_S; lower the one or raise the other")
        if self.retention_s > self.max_retention_s:
            raise ValueError("OUTLIVE_RETENTION_S is above OUTLIVE_MAX_RETENTION_S; lower the one or raise the other")
        if self.feed_bytes < self.max_event_bytes:
            raise ValueError("OUTLIVE_FEED_BYTES is below OUTLIVE_MAX_EVENT_BYTES; raise the one or lower the other")
        if self.bodies_in_flight_bytes < self.max_body_bytes:
            raise ValueError(
                "OUTLIVE_BODIES_IN_FLIGHT_BYTES is below OUTLIVE_MAX_BODY_BYTES; raise the one or lower the other"
            )
        if self.tenant_stored_bytes < self.max_body_bytes:
            raise ValueError(
                "OUTLIVE_TENANT_STORED_BYTES is below OUTLIVE_MAX_BODY_BYTES; raise the one or lower the other"
            )
        if self.jwt_issuer and not self.jwt_audience:
            raise ValueError("OUTLIVE_JWT_ISSUER needs OUTLIVE_JWT_AUDIENCE; set it to the `aud` of your tokens")
        if self.jwt_issuer and not self.jwt_jwks_url and not self.jwt_issuer.startswith(("http://", "https://")):
            raise ValueError("OUTLIVE_JWT_ISSUER is not a URL, so set OUTLIVE_JWT_JWKS_URL to where its keys are")
        if self.upstreams and self.openai_base_url:
            raise ValueError("OPENAI_BASE_URL has no effect beside OUTLIVE_UPSTREAMS; name that server there instead")
        return self


def load(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises `SettingsError` with one sentence for each mistake."""
    provider = {"OPENAI_BASE_URL", KEY_ENV}
    known = {PREFIX + name.upper(): name for name in Settings.model_fields if not name.startswith("openai_")}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"There is no setting {', '.join(unknown)}; unset it, or see docs/settings.md.")
    values: dict[str, Any] = {known[name]: value for name, value in environ.items() if name in known}
    values |= {name: value for name, value in environ.items() if name in provider and value.strip()}
    try:
        return _Exactly(**values)
    except ValidationError as error:
        raise SettingsError(" ".join(_sentence(e["loc"], e["msg"]) for e in error.errors())) from error


class _Exactly(Settings):
    """Settings from the given values alone: pydantic-settings would read os.environ as well."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *others: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else ""
    shown = name if name.isupper() or not name else PREFIX + name.upper()
    # Inside a setting: which of its entries, and which member of that.
    shown = ".".join([shown, *(str(part) for part in location[1:] if part != "[key]")])
    message = message.removeprefix("Value error, ")
    return f"{shown}: {message}." if shown else f"{message}."
