-- Brings tables that an earlier schema.sql made to what the one beside this makes. What is there already stays; it can be applied again.
--
--     clickhouse client --database sensor --queries-file upgrade.sql
--
-- Rows from before have '' and 0 in new columns. Apply it before sensors are updated: until then they lose what has no column.

-- Events over history.
ALTER TABLE event
    ADD COLUMN IF NOT EXISTS direction LowCardinality(String),
    ADD COLUMN IF NOT EXISTS state LowCardinality(String),
    ADD COLUMN IF NOT EXISTS since Nullable(DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS bytes_per_second UInt64,
    ADD COLUMN IF NOT EXISTS usual_bytes_per_second UInt64,
    ADD COLUMN IF NOT EXISTS `from` LowCardinality(String),
    ADD COLUMN IF NOT EXISTS `to` LowCardinality(String),
    ADD COLUMN IF NOT EXISTS share Float64,
    ADD COLUMN IF NOT EXISTS seconds UInt64,
    MODIFY ORDER BY (sensor, epoch, sequence, event, network, at, address, prefix, port, protocol, class, evidence, upstream, mac, before, now, what, direction, state);

-- Packets that never came to a sensor.
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS lost Map(LowCardinality(String), UInt64);

-- Intervals that end within a time, however long before it they began. Parts from before have these once they are merged, or at once with
-- ALTER TABLE ... MATERIALIZE INDEX ends.
ALTER TABLE network ADD INDEX IF NOT EXISTS ends end TYPE minmax GRANULARITY 1;
ALTER TABLE counterpart ADD INDEX IF NOT EXISTS ends end TYPE minmax GRANULARITY 1;
ALTER TABLE unattributed ADD INDEX IF NOT EXISTS ends end TYPE minmax GRANULARITY 1;
ALTER TABLE event ADD INDEX IF NOT EXISTS ends end TYPE minmax GRANULARITY 1;
ALTER TABLE ledger ADD INDEX IF NOT EXISTS ends end TYPE minmax GRANULARITY 1;
