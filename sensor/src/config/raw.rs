//! The text of a configuration taken apart: values that know where they stand, of the right types, nothing unknown.
//!
//! Walks the parsed document instead of deriving `Deserialize`, which stops at the first unknown key or wrong type. The
//! keys a section knows are those it is asked for, so there is no list beside the code to keep up.

mod section;

use std::ops::Range;

use toml::{Spanned, de::DeTable};

use self::section::Section;
pub(super) use self::section::{Number, Text};
use super::error::Problems;

/// Names of the sections in messages.
const ROOT: &str = "the file";
const SENSOR: &str = "[sensor]";
const INTERFACE: &str = "[[interface]]";
const NETWORK: &str = "[[network]]";
const ACCOUNTING: &str = "[accounting]";
const UPSTREAM: &str = "[[upstream]]";
const COUNTERPART: &str = "[[counterpart]]";
const LIST: &str = "[[list]]";
const REPORT: &str = "[report]";
const EVENTS: &str = "[events]";
const SPOOL: &str = "[spool]";
const EXPORTER: &str = "[[exporter]]";
const METRICS: &str = "[metrics]";
const STORE: &str = "[store]";

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    pub(super) sensor: RawSensor,
    pub(super) interfaces: Vec<RawInterface>,
    pub(super) networks: Vec<RawNetwork>,
    /// `[accounting] tables`.
    pub(super) tables: Vec<Text>,
    pub(super) upstreams: Vec<RawUpstream>,
    pub(super) counterparts: Vec<RawCounterpart>,
    pub(super) lists: Vec<RawList>,
    pub(super) report: RawReport,
    pub(super) events: RawEvents,
    pub(super) spool: RawSpool,
    pub(super) exporters: Vec<RawExporter>,
    pub(super) metrics: Option<RawMetrics>,
    pub(super) store: Option<RawStore>,
}

/// `[sensor]`.
#[derive(Debug, Default)]
pub(super) struct RawSensor {
    pub(super) id: Option<Text>,
    pub(super) interval: Option<Text>,
    pub(super) memory: Option<Text>,
    pub(super) state_dir: Option<Text>,
    pub(super) bpffs: Option<Text>,
    pub(super) flows: Option<Number>,
    pub(super) max_activity_addresses: Option<Number>,
    pub(super) samples_per_second: Option<Number>,
    pub(super) max_counterparts: Option<Number>,
}

/// One `[[interface]]`.
#[derive(Debug)]
pub(super) struct RawInterface {
    pub(super) name: Option<Text>,
    pub(super) mode: Option<Text>,
    pub(super) xdp: Option<Text>,
    pub(super) role: Option<Text>,
    pub(super) egress: Option<Spanned<bool>>,
}

/// One `[[network]]`.
#[derive(Debug)]
pub(super) struct RawNetwork {
    pub(super) name: Option<Text>,
    pub(super) timezone: Option<Text>,
    pub(super) prefixes: Vec<Text>,
}

/// One `[[upstream]]`.
#[derive(Debug)]
pub(super) struct RawUpstream {
    /// Where the section stands.
    pub(super) span: Range<usize>,
    /// Whether it has any key that tells it from other neighbours, right or wrong.
    pub(super) tells_apart: bool,
    pub(super) name: Option<Text>,
    pub(super) asn: Option<Number>,
    pub(super) macs: Option<Vec<Text>>,
    pub(super) neighbors: Option<Vec<Text>>,
    pub(super) vlan: Option<Number>,
    pub(super) interface: Option<Text>,
}

/// One `[[counterpart]]`.
#[derive(Debug)]
pub(super) struct RawCounterpart {
    pub(super) kind: Option<Text>,
    pub(super) file: Option<Text>,
}

/// One `[[list]]`.
#[derive(Debug)]
pub(super) struct RawList {
    pub(super) name: Option<Text>,
    pub(super) class: Option<Text>,
    pub(super) file: Option<Text>,
}

/// `[report]`.
#[derive(Debug, Default)]
pub(super) struct RawReport {
    pub(super) hidden_classes: Option<Vec<Text>>,
    pub(super) learn: Option<Text>,
}

/// `[events]`.
#[derive(Debug, Default)]
pub(super) struct RawEvents {
    pub(super) weeks: Option<Number>,
    pub(super) surge_percent: Option<Number>,
    pub(super) collapse_percent: Option<Number>,
    pub(super) shift_percent: Option<Number>,
    pub(super) deviations: Option<Number>,
    pub(super) least_rate: Option<Number>,
    pub(super) blind_seconds: Option<Number>,
}

/// `[spool]`.
#[derive(Debug, Default)]
pub(super) struct RawSpool {
    pub(super) max_size: Option<Text>,
    pub(super) max_age: Option<Text>,
}

/// One `[[exporter]]`.
#[derive(Debug)]
pub(super) struct RawExporter {
    pub(super) kind: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) endpoint: Option<Text>,
    /// What is for exporters of some types alone.
    pub(super) options: RawOptions,
}

/// Keys of an `[[exporter]]` that its type may know.
#[derive(Debug, Default)]
pub(super) struct RawOptions {
    /// Those that are there: name, and where the value stands.
    pub(super) given: Vec<(&'static str, Range<usize>)>,
    pub(super) rotate: Option<Text>,
    pub(super) keep: Option<Number>,
    pub(super) records: Option<Vec<Text>>,
    pub(super) domain: Option<Number>,
    pub(super) enterprise: Option<Number>,
    pub(super) mtu: Option<Number>,
    pub(super) topic: Option<Text>,
    pub(super) database: Option<Text>,
    pub(super) sasl: Option<Text>,
    pub(super) username: Option<Text>,
    pub(super) password_file: Option<Text>,
    pub(super) ca: Option<Text>,
    pub(super) cert: Option<Text>,
    pub(super) key: Option<Text>,
}

/// `[metrics]`.
#[derive(Debug)]
pub(super) struct RawMetrics {
    pub(super) listen: Option<Text>,
    pub(super) prefixes: Option<Spanned<bool>>,
}

/// `[store]`.
#[derive(Debug)]
pub(super) struct RawStore {
    pub(super) path: Option<Text>,
    pub(super) keep_minutes: Option<Text>,
    pub(super) keep_quarters: Option<Text>,
    pub(super) keep_prefixes: Option<Text>,
    pub(super) keep_sights: Option<Text>,
    pub(super) keep_ledger: Option<Text>,
    pub(super) keep_events: Option<Text>,
}

/// Takes a document apart; `None` where it is no TOML. Problems of any kind are added.
pub(super) fn decode(text: &str, problems: &mut Problems<'_>) -> Option<RawConfig> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let message = format!("{}; correct the TOML syntax here", error.message());
            problems.add(&error.span().unwrap_or_default(), message);
        }
        // What a recovering parser makes of the rest would only add false problems.
        return None;
    }
    let mut root = Section::new(ROOT, document.get_ref(), document.span(), problems);
    let mut config = RawConfig::default();
    if let Some((table, span)) = root.table("sensor") {
        let mut section = Section::new(SENSOR, table, span, root.problems);
        let (id, interval, memory) = (section.text("id"), section.text("interval"), section.text("memory"));
        let (state_dir, bpffs) = (section.text("state_dir"), section.text("bpffs"));
        let (flows, samples_per_second) = (section.number("flows"), section.number("samples_per_second"));
        let max_activity_addresses = section.number("max_activity_addresses");
        let max_counterparts = section.number("max_counterparts");
        config.sensor = RawSensor {
            id,
            interval,
            memory,
            state_dir,
            bpffs,
            flows,
            max_activity_addresses,
            samples_per_second,
            max_counterparts,
        };
        section.finish();
    }
    for (table, span) in root.tables("interface") {
        let mut section = Section::new(INTERFACE, table, span, root.problems);
        let (name, mode, xdp) = (section.required("name"), section.text("mode"), section.text("xdp"));
        let (role, egress) = (section.text("role"), section.switch("egress"));
        config.interfaces.push(RawInterface { name, mode, xdp, role, egress });
        section.finish();
    }
    for (table, span) in root.tables("network") {
        let mut section = Section::new(NETWORK, table, span.clone(), root.problems);
        let (name, timezone) = (section.required("name"), section.text("timezone"));
        let prefixes = section.texts("prefixes").unwrap_or_default();
        if section.lacks("prefixes") {
            section.problems.add(&span, "the [[network]] has no prefixes; add prefixes = [\"192.0.2.0/24\"]");
        }
        config.networks.push(RawNetwork { name, timezone, prefixes });
        section.finish();
    }
    if let Some((table, span)) = root.table("accounting") {
        let mut section = Section::new(ACCOUNTING, table, span, root.problems);
        config.tables = section.texts("tables").unwrap_or_default();
        section.finish();
    }
    for (table, span) in root.tables("upstream") {
        config.upstreams.push(upstream(Section::new(UPSTREAM, table, span, root.problems)));
    }
    labels(&mut root, &mut config);
    export(&mut root, &mut config);
    if let Some((table, span)) = root.table("metrics") {
        let mut section = Section::new(METRICS, table, span, root.problems);
        config.metrics = Some(RawMetrics { listen: section.required("listen"), prefixes: section.switch("prefixes") });
        section.finish();
    }
    if let Some((table, span)) = root.table("store") {
        config.store = Some(store(Section::new(STORE, table, span, root.problems)));
    }
    root.finish();
    Some(config)
}

fn store(mut section: Section<'_, '_, '_, '_>) -> RawStore {
    let raw = RawStore {
        path: section.text("path"),
        keep_minutes: section.text("keep_minutes"),
        keep_quarters: section.text("keep_quarters"),
        keep_prefixes: section.text("keep_prefixes"),
        keep_sights: section.text("keep_sights"),
        keep_ledger: section.text("keep_ledger"),
        keep_events: section.text("keep_events"),
    };
    section.finish();
    raw
}

fn upstream(mut section: Section<'_, '_, '_, '_>) -> RawUpstream {
    let raw = RawUpstream {
        span: section.span(),
        tells_apart: ["mac", "neighbor", "vlan", "interface"].iter().any(|key| section.has(key)),
        name: section.required("name"),
        asn: section.number("asn"),
        macs: section.text_or_texts("mac"),
        neighbors: section.text_or_texts("neighbor"),
        vlan: section.number("vlan"),
        interface: section.text("interface"),
    };
    section.finish();
    raw
}

/// What says something about the other end, and what a report makes of it.
fn labels(root: &mut Section<'_, '_, '_, '_>, config: &mut RawConfig) {
    for (table, span) in root.tables("counterpart") {
        let mut section = Section::new(COUNTERPART, table, span, root.problems);
        config.counterparts.push(RawCounterpart { kind: section.text("kind"), file: section.required("file") });
        section.finish();
    }
    for (table, span) in root.tables("list") {
        let mut section = Section::new(LIST, table, span, root.problems);
        let (name, class, file) = (section.required("name"), section.text("class"), section.required("file"));
        config.lists.push(RawList { name, class, file });
        section.finish();
    }
    if let Some((table, span)) = root.table("report") {
        let mut section = Section::new(REPORT, table, span, root.problems);
        config.report = RawReport { hidden_classes: section.texts("hidden_classes"), learn: section.text("learn") };
        section.finish();
    }
    if let Some((table, span)) = root.table("events") {
        let mut section = Section::new(EVENTS, table, span, root.problems);
        config.events = RawEvents {
            weeks: section.number("weeks"),
            surge_percent: section.number("surge_percent"),
            collapse_percent: section.number("collapse_percent"),
            shift_percent: section.number("shift_percent"),
            deviations: section.number("deviations"),
            least_rate: section.number("least_rate"),
            blind_seconds: section.number("blind_seconds"),
        };
        section.finish();
    }
}

/// Where records go.
fn export(root: &mut Section<'_, '_, '_, '_>, config: &mut RawConfig) {
    if let Some((table, span)) = root.table("spool") {
        let mut section = Section::new(SPOOL, table, span, root.problems);
        config.spool = RawSpool { max_size: section.text("max_size"), max_age: section.text("max_age") };
        section.finish();
    }
    for (table, span) in root.tables("exporter") {
        let mut section = Section::new(EXPORTER, table, span, root.problems);
        config.exporters.push(RawExporter {
            kind: section.required("type"),
            name: section.text("name"),
            endpoint: section.text("endpoint"),
            options: options(&mut section),
        });
        section.finish();
    }
}

fn options(section: &mut Section<'_, '_, '_, '_>) -> RawOptions {
    RawOptions {
        rotate: section.text("rotate"),
        keep: section.number("keep"),
        records: section.text_or_texts("records"),
        domain: section.number("domain"),
        enterprise: section.number("enterprise"),
        mtu: section.number("mtu"),
        topic: section.text("topic"),
        database: section.text("database"),
        sasl: section.text("sasl"),
        username: section.text("username"),
        password_file: section.text("password_file"),
        ca: section.text("ca"),
        cert: section.text("cert"),
        key: section.text("key"),
        given: section.given(&["type", "name", "endpoint"]),
    }
}
