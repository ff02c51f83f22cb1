//! Messages of Apache Kafka. librdkafka, which speaks to the brokers, is there with the feature `kafka` alone.

#[cfg(not(feature = "kafka"))]
mod absent;
#[cfg(feature = "kafka")]
mod failure;
#[cfg(feature = "kafka")]
mod producer;
#[cfg(feature = "kafka")]
mod sink;
#[cfg(feature = "kafka")]
#[cfg(test)]
mod tests;

#[cfg(not(feature = "kafka"))]
pub(super) use self::absent::Sink;
#[cfg(feature = "kafka")]
pub(super) use self::sink::Sink;
