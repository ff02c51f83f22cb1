-- For fleets: sensors write to Apache Kafka ([[exporter]] type = "kafka"), and ClickHouse reads the lines from there. After schema.sql:
--
--     clickhouse client --database sensor --queries-file kafka.sql
--
-- Correct kafka_broker_list, kafka_topic_list and, for more partitions, kafka_num_consumers. queue has the columns of all kinds; a view for each kind takes
-- its lines on into the raw table, and from there the sums are kept as always. Kafka gives a message twice now and then, in other company, so that no token
-- knows it: ask raw tables with FINAL, and make sums anew (rebuild.sql) where they must be exact.

CREATE TABLE IF NOT EXISTS queue
(
    record LowCardinality(String),
    sensor LowCardinality(String),
    epoch FixedString(32),
    start DateTime64(3, 'UTC'),
    end DateTime64(3, 'UTC'),
    sequence UInt64,
    first_sequence Nullable(UInt64),
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
    country LowCardinality(String),
    asn UInt32,
    as_name String,
    list Array(LowCardinality(String)),
    counterpart LowCardinality(String),
    prefix String,
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
    address String,
    port UInt16,
    protocol UInt8,
    first DateTime64(3, 'UTC'),
    last DateTime64(3, 'UTC'),
    answers UInt64,
    clients UInt64,
    new Bool,
    event LowCardinality(String),
    at DateTime64(3, 'UTC'),
    mac String,
    vlan Nullable(UInt16),
    before String,
    now String,
    what LowCardinality(String),
    count UInt64,
    state LowCardinality(String),
    since Nullable(DateTime64(3, 'UTC')),
    bytes_per_second UInt64,
    usual_bytes_per_second UInt64,
    `from` LowCardinality(String),
    `to` LowCardinality(String),
    share Float64,
    seconds UInt64,
    src String,
    src_port UInt16,
    dst String,
    dst_port UInt16,
    reverse_packets UInt64,
    reverse_bytes UInt64,
    interface LowCardinality(String),
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
    nic Map(LowCardinality(String), UInt64),
    lost Map(LowCardinality(String), UInt64)
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'localhost:9092',
    kafka_topic_list = 'sensor',
    kafka_group_name = 'clickhouse',
    kafka_format = 'JSONEachRow',
    kafka_num_consumers = 1,
    input_format_skip_unknown_fields = 1,
    input_format_null_as_default = 1,
    date_time_input_format = 'best_effort';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_network TO network AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, network, direction, upstream, upstream_asn,
    class, family, evidence, packets, bytes, frame_bytes, moved_packets, moved_bytes, moved_frame_bytes
FROM queue
WHERE record = 'network';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_counterpart TO counterpart AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, network, direction, country, asn, as_name, list,
    counterpart, packets, bytes, frame_bytes
FROM queue
WHERE record = 'counterpart';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_prefix TO prefix AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, prefix, direction, network, packets, bytes,
    frame_bytes
FROM queue
WHERE record = 'prefix';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_unattributed TO unattributed AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, direction, packets, bytes, frame_bytes
FROM queue
WHERE record = 'unattributed';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_host TO host AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, network, active, active_addresses,
    active_prefixes, newly_lit, newly_lit_prefixes, initial, incomplete, flows, one_way_flows, asymmetric_flows
FROM queue
WHERE record = 'host';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_service TO service AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, network, address, port, protocol, class, family,
    evidence, first, last, answers, clients, new
FROM queue
WHERE record = 'service';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_class_host TO class_host AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, network, class, family, evidence, address, flows,
    first, last
FROM queue
WHERE record = 'class_host';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_event TO event AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, event, network, at, address, prefix, port,
    protocol, class, family, evidence, upstream, mac, vlan, before, now, what, count, direction, state, since, bytes_per_second,
    usual_bytes_per_second, `from`, `to`, share, seconds
FROM queue
WHERE record = 'event';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_flow TO flow AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, protocol, src, src_port, dst, dst_port, class,
    family, evidence, packets, bytes, reverse_packets, reverse_bytes
FROM queue
WHERE record = 'flow';

CREATE MATERIALIZED VIEW IF NOT EXISTS queue_to_ledger TO ledger AS
SELECT
    sensor, epoch, start, end, sequence, ifNull(first_sequence, sequence) AS first_sequence, interface, direction, role, seen_packets,
    seen_frame_bytes, matched_packets, matched_bytes, matched_src_packets, matched_dst_packets, matched_both_packets, other_packets,
    other_bytes, seen_before_packets, seen_before_bytes, unparsed, degraded, shed, replay_fallback, attached, blind_ms, nic, lost
FROM queue
WHERE record = 'ledger';
