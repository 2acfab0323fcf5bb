"""
Settings: one model of everything that can be set, refused when it is made with values that cannot work.

`hub.settings.layers` makes it of flags, environment and files; `hub.settings.values` has the types of single values.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr, model_validator

from aggregates.ask.periods import SHIPPED, Reporting
from hub.settings.values import Broker, Database, Directories, Duration, File, Files, Place, Port, Zone, is_loopback

_TOGETHER = [(f"{server}_username", f"{server}_password") for server in ("broker", "kafka")]
_TOGETHER += [("kafka_certificate", "kafka_key"), ("sql_port", "sql_password")]
_OPEN = "can be reached by others, expected"


class Settings(BaseModel):
    """Everything that can be set. Make one with `hub.settings.layers.load`; a key's description gives its unit."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    data_dir: Place = Field(Path("data"), description="directory of the embedded hub: database, broker, lock")
    mqtt_host: str = Field("127.0.0.1", description="address the built-in broker listens on")
    mqtt_port: Port = Field(1883, description="port the built-in broker listens on")
    http_host: str = Field("127.0.0.1", description="address of the API and the live page")
    http_port: Port = Field(8080, description="port of the API and the live page")
    frame_ancestors: str = Field("", description="pages that may show the live page in a frame: origins with blanks")
    frame_secret: SecretStr | None = Field(None, min_length=16, description="makes framed maps' keys; another ends all")
    http_hosts: str = Field("", description="further names of the hub, with commas; without a token others are refused")
    http_url: str = Field("", description="address at which others reach it, for links in messages; empty: as it is")
    api_token: SecretStr | None = Field(None, description="token for reading; needed where others reach http_host")
    public: bool = Field(False, description="everyone who reaches http_host may read, without the token")
    api_patience: Duration = Field(timedelta(seconds=30), description="longest time a statement of the API may take")
    api_connections: PositiveInt = Field(8, description="most answers of the API that are made at once")
    broker: Broker | None = Field(None, repr=False, description="mqtt:// or mqtts:// URL; empty: the built-in broker")
    broker_username: str | None = Field(None, description="user name at the broker")
    broker_password: SecretStr | None = Field(None, description="password at the broker")
    sta_updates: str = Field("", description="$filter of the Datastreams whose updates are sent over MQTT; empty: none")
    broker_queue: PositiveInt = Field(200_000, description="messages that the built-in broker can queue")
    database: Database | None = Field(None, repr=False, description="postgresql:// URL or conninfo; empty: embedded")
    sql_port: int = Field(0, ge=0, le=65_535, description="port on this machine for SQL, of the embedded one; 0: none")
    sql_password: SecretStr | None = Field(None, description="password there, of stadspuls_reader, who may only read")
    kafka: str | None = Field(None, description="Kafka servers, host:port[,host:port]; for the distributed hub")
    kafka_topic: str = Field("readings", description="topic of the batches")
    kafka_dead_letters: str = Field("dead-letters", description="topic of dead letters")
    kafka_partitions: PositiveInt = Field(8, description="partitions of a new topic, and so the most workers")
    kafka_replicas: PositiveInt = Field(1, description="replicas of a new topic")
    kafka_group: str = Field("stadspuls", description="consumer group of the workers")
    kafka_tls: bool = Field(False, description="connect to Kafka with TLS")
    kafka_ca: File | None = Field(None, description="authority of Kafka's certificate; empty: the system's")
    kafka_certificate: File | None = Field(None, description="certificate of this client, for Kafka")
    kafka_key: File | None = Field(None, description="key of that certificate")
    kafka_username: str | None = Field(None, description="user name at Kafka (SASL)")
    kafka_password: SecretStr | None = Field(None, description="password at Kafka")
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN"
    )
    slots_dir: Place | None = Field(None, description="slots of all collectors; empty: data_dir/slots")
    metrics_host: str = Field("127.0.0.1", description="address of a service's own metrics")
    metrics_port: int = Field(0, ge=0, le=65_535, description="port of a service's own metrics, 0: none")
    timezone: Zone = Field("Europe/Amsterdam", description="tz name of civil days, and of local time")
    earliest: AwareDatetime = Field(datetime(2000, 1, 1, tzinfo=UTC), description="oldest start of a reading taken")
    retention: Duration | None = Field(None, description="readings are kept this long (90d, 36h); empty: for ever")
    versions_kept: Duration | None = Field(None, description="earlier figures are kept so long (730d); empty: for ever")
    chunk_interval: Duration = Field(timedelta(days=1), description="length of a TimescaleDB chunk (1d, 6h)")
    mappings: Directories = Field((), description="directories of your own mapping files")
    rules: Directories = Field((), description="directories of your own alert rules")
    calendars: Files = Field((), description="calendar files (TOML) in place of the shipped one")
    country: str = Field("NL", description="ISO code of the country whose public holidays count")
    periods: File | None = Field(None, description="kinds of day and parts of the day (TOML) in place of the shipped")
    alert_channels: File | None = Field(None, description="channels of alerts; empty: data_dir/channels.toml, if any")
    in_flight_messages: PositiveInt = Field(20_000, description="messages taken and not yet acknowledged, at most")
    in_flight_bytes: PositiveInt = Field(64 << 20, description="bytes of such messages, at most")
    retained_bytes: PositiveInt = Field(4 << 20, description="retained messages that a broker may keep for sensors")
    new_sensors: PositiveInt = Field(50_000, description="sensors of a source that may be new within an hour")
    batch_readings: PositiveInt = Field(10_000, description="readings in a batch, at most")
    rollup_every: PositiveFloat = Field(1.0, description="seconds between two roll-ups, threefold while there are none")
    rollup_grace: float = Field(60.0, ge=0, description="seconds after its end before an hour is closed")
    grafana_url: str | None = Field(None, description="http(s):// address of an existing Grafana")
    grafana_token: SecretStr | None = Field(None, description="its service account's token, or user:password")
    grafana_database: SecretStr | None = Field(None, description="URL of its database, as reader; empty: as it is")
    ndw_url: str = Field("", description="host of NDW's open data, empty: its own")
    luchtmeetnet_url: str = Field("", description="host of Luchtmeetnet's API, empty: its own")
    samenmeten_url: str = Field("", description="host of Samen Meten's API, empty: its own")
    sensor_community_url: str = Field("", description="host of Sensor.Community's snapshots, empty: its own")
    cbs_url: str = Field("", description="host of CBS's tables (OData 4), empty: its own")
    pdok_url: str = Field("", description="host of PDOK's boundaries, empty: its own")
    gateway_timeout: PositiveFloat = Field(45.0, description="seconds a gateway waits for an answer")
    map_tiles: str = Field(
        "https://service.pdok.nl/brt/achtergrondkaart/wmts/v2_0/grijs/EPSG:3857/{z}/{x}/{y}.png",
        description="tiles under the live map, https://.../{z}/{x}/{y}.png; empty: none, the page stays offline",
    )
    map_attribution: str = Field("Kaart: Kadaster, CC BY 4.0", description="attribution that their licence asks for")
    base_map: File | None = Field(None, description="roads and water; empty: data_dir/base-map.geojson.gz, if any")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["console", "json"] = Field("console", description="how log lines look")

    _origins: dict[str, str] = {}

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User name and password at the broker, where there are any."""
        if self.broker_username is None or self.broker_password is None:
            return None
        return self.broker_username, self.broker_password.get_secret_value()

    @property
    def reporting(self) -> Reporting:
        """What averages over days are made by."""
        return Reporting(self.timezone, self.calendars, self.country, self.periods or SHIPPED)

    @model_validator(mode="after")
    def _access(self) -> Self:
        open_to_others = self.broker is None and not is_loopback(self.mqtt_host)
        if open_to_others and not (self.broker_username and self.broker_password):
            raise ValueError(f"mqtt_host {self.mqtt_host!r} {_OPEN} broker_username and broker_password")
        for one, other in _TOGETHER:
            if bool(getattr(self, one)) != bool(getattr(self, other)):
                raise ValueError(f"{one} and {other} go together, found one of them")
        if not self.kafka_tls and (self.kafka_ca or self.kafka_certificate):
            raise ValueError("kafka_ca and kafka_certificate are for TLS, expected kafka_tls = true")
        if not (is_loopback(self.http_host) or self.api_token or self.public):
            raise ValueError(f"http_host {self.http_host!r} {_OPEN} api_token or public")
        return self
