-- Tables for the records of sensors: one for each kind of record, and sums by minute and by hour.
--
--     clickhouse client --query "CREATE DATABASE sensor"
--     clickhouse client --database sensor --queries-file schema.sql
--
-- Each raw table is ordered by the whole key of its records: a record that comes twice is one row with FINAL, whenever it comes. A batch that comes
-- twice is not even taken, by its token, neither here nor by the sums: non_replicated_deduplication_window is how many of the last inserts a table knows
-- the tokens of, 100,000 of all sensors together; at one insert per sensor and 10 s, that is 2.7 hours of 100 sensors. Of replicated tables it is
-- replicated_deduplication_window, and replicated_deduplication_window_seconds.
--
-- '' and 0 are what a record does not say: no upstream, no AS number (0 is none, RFC 7607), no evidence. Times are UTC, bytes are of layer 3, frame_bytes
-- with the link header. Addresses and prefixes are text: both versions of IP stand in one column.

-- What watched networks exchanged, by upstream, class and evidence. moved_*: what turned out to be of another class, of intervals before; net_* may be below 0.
CREATE TABLE IF NOT EXISTS network
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    network LowCardinality(String),
    direction LowCardinality(String),
    upstream LowCardinality(String),
    upstream_asn UInt32,
    class LowCardinality(String),
    family LowCardinality(String),
    evidence LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    frame_bytes UInt64,
    moved_packets UInt64,
    moved_bytes UInt64,
    moved_frame_bytes UInt64,
    net_packets Int64 ALIAS toInt64(packets) - toInt64(moved_packets),
    net_bytes Int64 ALIAS toInt64(bytes) - toInt64(moved_bytes),
    net_frame_bytes Int64 ALIAS toInt64(frame_bytes) - toInt64(moved_frame_bytes),
    INDEX starts start TYPE minmax GRANULARITY 1,
    INDEX ends end TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, network, direction, upstream, upstream_asn, class, evidence)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- What watched networks exchanged with whom.
CREATE TABLE IF NOT EXISTS counterpart
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    network LowCardinality(String),
    direction LowCardinality(String),
    -- ISO 3166-1 alpha-2.
    country LowCardinality(String),
    asn UInt32,
    as_name String,
    list Array(LowCardinality(String)),
    -- Where all of these are missing: unknown, or other.
    counterpart LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    frame_bytes UInt64,
    INDEX starts start TYPE minmax GRANULARITY 1,
    INDEX ends end TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, network, direction, country, asn, as_name, list, counterpart)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- Traffic of prefixes, their more-specifics in the table excluded.
CREATE TABLE IF NOT EXISTS prefix
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    prefix String,
    direction LowCardinality(String),
    network LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    frame_bytes UInt64,
    INDEX starts start TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, prefix, direction, network)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- Traffic of prefixes whose names are lost.
CREATE TABLE IF NOT EXISTS unattributed
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    direction LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    frame_bytes UInt64,
    INDEX starts start TYPE minmax GRANULARITY 1,
    INDEX ends end TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, direction)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- Active addresses of watched networks. active, newly_lit: by /24 a bitmap of 64 hexadecimal digits, the highest bit is .0.
CREATE TABLE IF NOT EXISTS host
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    network LowCardinality(String),
    active Map(String, String),
    active_addresses UInt64,
    active_prefixes Array(String),
    newly_lit Map(String, String),
    newly_lit_prefixes Array(String),
    initial Bool,
    incomplete Bool,
    flows UInt64,
    one_way_flows UInt64,
    asymmetric_flows UInt64,
    INDEX starts start TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, network)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- Watched ports that answered; answers and clients since the first answer.
CREATE TABLE IF NOT EXISTS service
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    network LowCardinality(String),
    address String,
    port UInt16,
    protocol UInt8,
    class LowCardinality(String),
    family LowCardinality(String),
    evidence LowCardinality(String),
    first DateTime64(3, 'UTC'),
    last DateTime64(3, 'UTC'),
    answers UInt64,
    clients UInt64,
    new Bool,
    INDEX starts start TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, network, address, port, protocol)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- Watched addresses that spoke suspicious classes; flows since the first.
CREATE TABLE IF NOT EXISTS class_host
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    network LowCardinality(String),
    class LowCardinality(String),
    family LowCardinality(String),
    evidence LowCardinality(String),
    address String,
    flows UInt64,
    first DateTime64(3, 'UTC'),
    last DateTime64(3, 'UTC'),
    INDEX starts start TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, network, class, evidence, address)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- What happened, once each; columns that an event does not have are empty.
CREATE TABLE IF NOT EXISTS event
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    event LowCardinality(String),
    network LowCardinality(String),
    at DateTime64(3, 'UTC'),
    address String,
    prefix String,
    port UInt16,
    protocol UInt8,
    class LowCardinality(String),
    family LowCardinality(String),
    evidence LowCardinality(String),
    upstream LowCardinality(String),
    mac String,
    vlan Nullable(UInt16),
    before String,
    now String,
    what LowCardinality(String),
    count UInt64,
    direction LowCardinality(String),
    -- Of what lasts: "began" or "over", and since when.
    state LowCardinality(String),
    since Nullable(DateTime64(3, 'UTC')),
    bytes_per_second UInt64,
    usual_bytes_per_second UInt64,
    `from` LowCardinality(String),
    `to` LowCardinality(String),
    share Float64,
    seconds UInt64,
    INDEX starts start TYPE minmax GRANULARITY 1,
    INDEX ends end TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, event, network, at, address, prefix, port, protocol, class, evidence, upstream, mac, before, now, what, direction, state)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- Flows of a replay that was asked for them.
CREATE TABLE IF NOT EXISTS flow
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    protocol UInt8,
    src String,
    src_port UInt16,
    dst String,
    dst_port UInt16,
    class LowCardinality(String),
    family LowCardinality(String),
    evidence LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    reverse_packets UInt64,
    reverse_bytes UInt64,
    INDEX starts start TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, protocol, src, src_port, dst, dst_port, class, evidence, packets, bytes, reverse_packets, reverse_bytes)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- Every frame of an interface side: seen = matched + other + seen_before + unparsed.
CREATE TABLE IF NOT EXISTS ledger
(
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    -- Less than sequence where several intervals became one.
    first_sequence UInt64 DEFAULT sequence,
    interface LowCardinality(String),
    direction LowCardinality(String),
    role LowCardinality(String),
    seen_packets UInt64,
    seen_frame_bytes UInt64,
    matched_packets UInt64,
    matched_bytes UInt64,
    matched_src_packets UInt64,
    matched_dst_packets UInt64,
    matched_both_packets UInt64,
    other_packets UInt64,
    other_bytes UInt64,
    seen_before_packets UInt64,
    seen_before_bytes UInt64,
    unparsed Map(LowCardinality(String), UInt64),
    degraded Map(LowCardinality(String), UInt64),
    shed Map(LowCardinality(String), UInt64),
    replay_fallback Map(LowCardinality(String), UInt64),
    attached Nullable(Bool),
    blind_ms Nullable(UInt64),
    -- packets and bytes by the interface's own counters; empty where these say nothing.
    nic Map(LowCardinality(String), UInt64),
    -- What never came to the sensor, as the interface or capture tells.
    lost Map(LowCardinality(String), UInt64),
    INDEX starts start TYPE minmax GRANULARITY 1,
    INDEX ends end TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (sensor, epoch, sequence, interface, direction, role)
-- TTL toDateTime(start) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000;

-- Sums by minute and hour. An interval stands where it starts: one that is longer, of a sensor that could not deliver for long, is all in the first minute
-- or hour of its span. Rows of one key are added up in the background: always ask for sum(). Beyond the window of tokens a repeat counts twice here:
-- rebuild.sql.

-- network by minute: net of what moved.
CREATE TABLE IF NOT EXISTS network_1m
(
    time DateTime('UTC') CODEC(Delta, ZSTD),
    sensor LowCardinality(String),
    network LowCardinality(String),
    direction LowCardinality(String),
    upstream LowCardinality(String),
    upstream_asn UInt32,
    class LowCardinality(String),
    family LowCardinality(String),
    evidence LowCardinality(String),
    packets Int64,
    bytes Int64,
    frame_bytes Int64
)
ENGINE = SummingMergeTree((packets, bytes, frame_bytes))
PARTITION BY toYYYYMM(time)
ORDER BY (sensor, network, direction, upstream, upstream_asn, class, family, evidence, time)
-- TTL time + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS network_to_1m TO network_1m AS
SELECT
    toStartOfMinute(start) AS time, sensor, network, direction, upstream, upstream_asn, class, family, evidence,
    sum(toInt64(r.packets) - toInt64(r.moved_packets)) AS packets,
    sum(toInt64(r.bytes) - toInt64(r.moved_bytes)) AS bytes,
    sum(toInt64(r.frame_bytes) - toInt64(r.moved_frame_bytes)) AS frame_bytes
FROM network AS r
GROUP BY time, sensor, network, direction, upstream, upstream_asn, class, family, evidence;

-- counterpart by minute.
CREATE TABLE IF NOT EXISTS counterpart_1m
(
    time DateTime('UTC') CODEC(Delta, ZSTD),
    sensor LowCardinality(String),
    network LowCardinality(String),
    direction LowCardinality(String),
    country LowCardinality(String),
    asn UInt32,
    as_name String,
    list Array(LowCardinality(String)),
    counterpart LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    frame_bytes UInt64
)
ENGINE = SummingMergeTree((packets, bytes, frame_bytes))
PARTITION BY toYYYYMM(time)
ORDER BY (sensor, network, direction, country, asn, as_name, list, counterpart, time)
-- TTL time + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS counterpart_to_1m TO counterpart_1m AS
SELECT
    toStartOfMinute(start) AS time, sensor, network, direction, country, asn, as_name, list, counterpart,
    sum(r.packets) AS packets,
    sum(r.bytes) AS bytes,
    sum(r.frame_bytes) AS frame_bytes
FROM counterpart AS r
GROUP BY time, sensor, network, direction, country, asn, as_name, list, counterpart;

-- prefix by minute.
CREATE TABLE IF NOT EXISTS prefix_1m
(
    time DateTime('UTC') CODEC(Delta, ZSTD),
    sensor LowCardinality(String),
    prefix String,
    direction LowCardinality(String),
    network LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    frame_bytes UInt64
)
ENGINE = SummingMergeTree((packets, bytes, frame_bytes))
PARTITION BY toYYYYMM(time)
ORDER BY (sensor, prefix, direction, network, time)
-- TTL time + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS prefix_to_1m TO prefix_1m AS
SELECT
    toStartOfMinute(start) AS time, sensor, prefix, direction, network,
    sum(r.packets) AS packets,
    sum(r.bytes) AS bytes,
    sum(r.frame_bytes) AS frame_bytes
FROM prefix AS r
GROUP BY time, sensor, prefix, direction, network;

-- network by hour: net of what moved.
CREATE TABLE IF NOT EXISTS network_1h
(
    time DateTime('UTC') CODEC(Delta, ZSTD),
    sensor LowCardinality(String),
    network LowCardinality(String),
    direction LowCardinality(String),
    upstream LowCardinality(String),
    upstream_asn UInt32,
    class LowCardinality(String),
    family LowCardinality(String),
    evidence LowCardinality(String),
    packets Int64,
    bytes Int64,
    frame_bytes Int64
)
ENGINE = SummingMergeTree((packets, bytes, frame_bytes))
PARTITION BY toYYYYMM(time)
ORDER BY (sensor, network, direction, upstream, upstream_asn, class, family, evidence, time)
-- TTL time + INTERVAL 3 YEAR
SETTINGS non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS network_to_1h TO network_1h AS
SELECT
    toStartOfHour(start) AS time, sensor, network, direction, upstream, upstream_asn, class, family, evidence,
    sum(toInt64(r.packets) - toInt64(r.moved_packets)) AS packets,
    sum(toInt64(r.bytes) - toInt64(r.moved_bytes)) AS bytes,
    sum(toInt64(r.frame_bytes) - toInt64(r.moved_frame_bytes)) AS frame_bytes
FROM network AS r
GROUP BY time, sensor, network, direction, upstream, upstream_asn, class, family, evidence;

-- counterpart by hour.
CREATE TABLE IF NOT EXISTS counterpart_1h
(
    time DateTime('UTC') CODEC(Delta, ZSTD),
    sensor LowCardinality(String),
    network LowCardinality(String),
    direction LowCardinality(String),
    country LowCardinality(String),
    asn UInt32,
    as_name String,
    list Array(LowCardinality(String)),
    counterpart LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    frame_bytes UInt64
)
ENGINE = SummingMergeTree((packets, bytes, frame_bytes))
PARTITION BY toYYYYMM(time)
ORDER BY (sensor, network, direction, country, asn, as_name, list, counterpart, time)
-- TTL time + INTERVAL 3 YEAR
SETTINGS non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS counterpart_to_1h TO counterpart_1h AS
SELECT
    toStartOfHour(start) AS time, sensor, network, direction, country, asn, as_name, list, counterpart,
    sum(r.packets) AS packets,
    sum(r.bytes) AS bytes,
    sum(r.frame_bytes) AS frame_bytes
FROM counterpart AS r
GROUP BY time, sensor, network, direction, country, asn, as_name, list, counterpart;

-- prefix by hour.
CREATE TABLE IF NOT EXISTS prefix_1h
(
    time DateTime('UTC') CODEC(Delta, ZSTD),
    sensor LowCardinality(String),
    prefix String,
    direction LowCardinality(String),
    network LowCardinality(String),
    packets UInt64,
    bytes UInt64,
    frame_bytes UInt64
)
ENGINE = SummingMergeTree((packets, bytes, frame_bytes))
PARTITION BY toYYYYMM(time)
ORDER BY (sensor, prefix, direction, network, time)
-- TTL time + INTERVAL 3 YEAR
SETTINGS non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS prefix_to_1h TO prefix_1h AS
SELECT
    toStartOfHour(start) AS time, sensor, prefix, direction, network,
    sum(r.packets) AS packets,
    sum(r.bytes) AS bytes,
    sum(r.frame_bytes) AS frame_bytes
FROM prefix AS r
GROUP BY time, sensor, prefix, direction, network;
