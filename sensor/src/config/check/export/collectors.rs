//! Exporters to collectors in the network.

use std::fmt::Display;

use super::{Check, RawOptions, Seen, Text};
use crate::config::{
    Additive, ClickHouse, DEFAULT_ENTERPRISE, DEFAULT_MTU, Host, Identity, Ipfix, Kafka, Login, MAX_BROKERS,
    MAX_DOMAIN, MAX_MTU, MIN_MTU, Sasl, Tls, Transport,
    export::{CLICKHOUSE_SCHEMES, DEFAULT_DATABASE, DEFAULT_TOPIC, Database, Topic, Url, Username},
};

/// Schemes and their ports: RFC 7011, section 10.3.4, for IPFIX; what servers listen on as they are shipped for the others.
const IPFIX: [(&str, u16); 3] = [("udp", 4739), ("tcp", 4739), ("tls", 4740)];
const KAFKA: [(&str, u16); 2] = [("kafka", 9092), ("kafka+tls", 9093)];

impl Check<'_, '_> {
    pub(super) fn ipfix(&mut self, raw: &RawOptions, endpoint: &Text) -> Option<Ipfix> {
        let (scheme, host) = self.host(endpoint, &IPFIX)?;
        let tls = self.tls(raw, scheme == 2, "tls://");
        let mtu = raw.mtu.as_ref().map_or(Some(DEFAULT_MTU), |mtu| self.number("mtu", mtu, MIN_MTU, MAX_MTU));
        if let Some(mtu) = raw.mtu.as_ref().filter(|_| scheme != 0) {
            self.problems.add(&mtu.span(), "only datagrams have an mtu; remove it, or write an endpoint with udp://");
        }
        let domain = raw.domain.as_ref().map_or(Some(1), |domain| self.number("domain", domain, 1, MAX_DOMAIN));
        let enterprise = raw.enterprise.as_ref();
        let enterprise =
            enterprise.map_or(Some(DEFAULT_ENTERPRISE), |number| self.number("enterprise", number, 1, u32::MAX));
        let mut seen = Seen::new("kind of records");
        let texts = raw.records.as_deref();
        let records: Vec<Additive> =
            texts.unwrap_or_default().iter().filter_map(|text| self.unique(text, &mut seen)).collect();
        let transport = match scheme {
            0 => Transport::Udp { mtu: mtu? },
            1 => Transport::Tcp,
            _ => Transport::Tls(tls?),
        };
        let records = if texts.is_none_or(<[Text]>::is_empty) { vec![Additive::Prefix] } else { records };
        Some(Ipfix { transport, host, records, domain: domain?, enterprise: enterprise? })
    }

    pub(super) fn kafka(&mut self, raw: &RawOptions, endpoint: &Text) -> Option<Kafka> {
        if cfg!(not(feature = "kafka")) {
            let message = "this sensor was built without Kafka; build with --features kafka, or remove the exporter";
            self.problems.add(&endpoint.span(), message);
        }
        let Url { scheme, hosts: brokers } = self.url(endpoint, &KAFKA, MAX_BROKERS)?;
        let is_tls = scheme == 1;
        let tls = self.tls(raw, is_tls, "kafka+tls://");
        let topic = self.or_default::<Topic>(raw.topic.as_ref(), DEFAULT_TOPIC);
        let login = self.login(raw);
        let choices =
            [("scram-sha-512", Sasl::ScramSha512), ("scram-sha-256", Sasl::ScramSha256), ("plain", Sasl::Plain)];
        let sasl = self.choice("sasl", raw.sasl.as_ref(), choices);
        if let Some(text) = raw.sasl.as_ref() {
            if raw.username.is_none() {
                self.problems.add(&text.span(), "sasl is for a user; add username and password_file");
            }
            if sasl == Sasl::Plain && !is_tls {
                self.problems.add(&text.span(), "\"plain\" shows the password to the network; write kafka+tls://");
            }
        }
        Some(Kafka { brokers, topic: topic?.0, tls: is_tls.then_some(tls?), login: login?.map(|login| (sasl, login)) })
    }

    pub(super) fn clickhouse(&mut self, raw: &RawOptions, endpoint: &Text) -> Option<ClickHouse> {
        let (scheme, host) = self.host(endpoint, &CLICKHOUSE_SCHEMES)?;
        let is_tls = scheme == 1;
        let tls = self.tls(raw, is_tls, "https://");
        let database = self.or_default::<Database>(raw.database.as_ref(), DEFAULT_DATABASE);
        let login = self.login(raw);
        Some(ClickHouse { host, tls: is_tls.then_some(tls?), database: database?.0, login: login? })
    }

    fn url(&mut self, endpoint: &Text, schemes: &[(&str, u16)], most: usize) -> Option<Url> {
        let url = Url::parse(endpoint.get_ref(), schemes, most);
        url.map_err(|error| self.problems.add(&endpoint.span(), error)).ok()
    }

    /// The scheme, by its place, and the one host.
    fn host(&mut self, endpoint: &Text, schemes: &[(&str, u16)]) -> Option<(usize, Host)> {
        let Url { scheme, hosts } = self.url(endpoint, schemes, 1)?;
        Some((scheme, hosts.into_iter().next()?))
    }

    fn or_default<T: std::str::FromStr<Err: Display>>(&mut self, text: Option<&Text>, default: &str) -> Option<T> {
        text.map_or_else(|| default.parse().ok(), |text| self.parse(text))
    }

    /// Keys of a TLS connection, which nobody writes in vain; their files can be read.
    fn tls(&mut self, raw: &RawOptions, is_tls: bool, scheme: &str) -> Option<Tls> {
        let keys = [("ca", &raw.ca), ("cert", &raw.cert), ("key", &raw.key)];
        if !is_tls {
            for (key, text) in keys {
                if let Some(text) = text {
                    let message = format!("{key} is for TLS; remove it, or write an endpoint with {scheme}");
                    self.problems.add(&text.span(), message);
                }
            }
            return Some(Tls::default());
        }
        let [ca, cert, key] =
            keys.map(|(what, text)| text.as_ref().map_or(Some(None), |text| self.file(what, text).map(Some)));
        for (one, other, missing) in [(&raw.cert, &raw.key, "key"), (&raw.key, &raw.cert, "cert")] {
            if let (Some(text), None) = (one, other) {
                let message = format!("a certificate and its key go together; add {missing} = \"...\"");
                self.problems.add(&text.span(), message);
            }
        }
        let identity = cert?.zip(key?).map(|(cert, key)| Identity { cert, key });
        Some(Tls { ca: ca?, identity })
    }

    /// `None`: it is wrong; nothing within: there is none.
    fn login(&mut self, raw: &RawOptions) -> Option<Option<Login>> {
        for (one, other, missing) in
            [(&raw.username, &raw.password_file, "password_file"), (&raw.password_file, &raw.username, "username")]
        {
            if let (Some(text), None) = (one, other) {
                let message = format!("a user and a password go together; add {missing} = \"...\"");
                self.problems.add(&text.span(), message);
                return None;
            }
        }
        let (Some(username), Some(file)) = (&raw.username, &raw.password_file) else { return Some(None) };
        let username = self.parse::<Username>(username);
        let password_file = self.file("password_file", file);
        Some(Some(Login { username: username?.0, password_file: password_file? }))
    }
}
