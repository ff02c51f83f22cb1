//! A made-up border link, four weeks in each of two periods a year apart, and the configuration to study them by.
//!
//! `cargo xtask demo` ends with the report of it, and tests compare what is said of it however its frames came. Addresses and numbers are those for
//! documentation; what changes between the two periods stands in [`PERIODS`].

mod day;
mod talk;
mod version;

use std::{fs, fs::File, io::BufWriter, path::Path};

use anyhow::{Context as _, Result};
use jiff::{
    SignedDuration, Zoned,
    civil::{Date, date},
    tz::TimeZone,
};

pub use self::version::Version;
use super::rng::Rng;
use crate::capture::{LinkType, Timestamp, write::PcapWriter};

/// The zone of the network, 5:45 hours from UTC.
const ZONE: &str = "Asia/Kathmandu";
const DAYS: i64 = 28;
/// What the network is called.
pub const NETWORK: &str = "valley";
/// The file of the configuration, and that of the far ends beside it.
pub const FILES: [&str; 2] = ["sensor.toml", "far.csv"];
/// Far ends: the first two bytes, and what is known of them.
const FAR: [([u8; 2], &str); 4] = [
    ([198, 18], "CH,64500,Alpine,isp"),
    ([198, 19], "JP,64501,Pacific,isp"),
    ([203, 0], "SE,64502,Baltic,hosting"),
    ([100, 64], "KE,64503,Savanna,isp"),
];
/// A sensor that only replays.
const SENSOR: &str = r#"[sensor]
id = "demo"
interval = "60s"
[[interface]]
name = "capture"
mode = "mirror"
"#;

/// What a period is like.
#[derive(Debug)]
pub struct Period {
    /// Its capture is called so.
    pub name: &'static str,
    first: (i16, i8, i8),
    /// Conversations on a weekday, and on a day of the weekend.
    daily: [usize; 2],
    /// Of a hundred, by the first upstream, until the half of it and from there on.
    northern: [usize; 2],
    /// Hours in which most of it is.
    busy: [usize; 2],
    /// Active addresses of both /24s.
    hosts: [usize; 2],
    /// Of a hundred, in a private network.
    hidden: usize,
    /// Whether there is a server of mail and one of names.
    has_servers: bool,
    /// Conversations with a mining pool a day, until the half of it and from there on.
    mining: [usize; 2],
}

/// The earlier period, and the one that is compared with it.
pub const PERIODS: [Period; 2] = [
    Period {
        name: "before",
        first: (2024, 9, 2),
        daily: [60, 110],
        northern: [80, 80],
        busy: [18, 23],
        hosts: [24, 0],
        hidden: 5,
        has_servers: false,
        mining: [1, 1],
    },
    Period {
        name: "now",
        first: (2025, 9, 1),
        daily: [260, 120],
        northern: [75, 35],
        busy: [9, 17],
        hosts: [60, 40],
        hidden: 18,
        has_servers: true,
        mining: [1, 8],
    },
];

impl Period {
    /// Its first day, and the day after its last.
    pub fn days(&self) -> [Date; 2] {
        let (year, month, day) = self.first;
        let first = date(year, month, day);
        [first, first.saturating_add(jiff::Span::new().days(DAYS))]
    }
}

/// What a configuration says of the network, its neighbours and its far ends: all but the sensor and its interfaces.
pub fn sections(version: Version) -> String {
    let prefixes = [[192, 0, 2, 0], [198, 51, 100, 0]].map(|prefix| version.prefix(prefix, 24));
    let far = FILES[1];
    format!(
        r#"[[network]]
name = "{NETWORK}"
timezone = "{ZONE}"
prefixes = {prefixes:?}
[[upstream]]
name = "northern"
asn = 64496
mac = "02:00:00:00:01:01"
[[upstream]]
name = "southern"
asn = 64497
mac = "02:00:00:00:01:02"
[[counterpart]]
kind = "geo"
file = "{far}"
[report]
hidden_classes = ["wireguard"]
learn = "0s"
"#
    )
}

/// What is known of far ends, as a table of rows.
pub fn far_ends(version: Version) -> String {
    FAR.map(|([a, b], facts)| format!("{},{facts}\n", version.prefix([a, b, 0, 0], 16))).concat()
}

/// Hands over all frames in order, each with its period and its moment. The same ones each time.
///
/// # Errors
/// Those of `take`; there is no time zone database.
pub fn each(version: Version, mut take: impl FnMut(&Period, Timestamp, &[u8]) -> Result<()>) -> Result<()> {
    let zone = TimeZone::get(ZONE).with_context(|| format!("no {ZONE}: install a time zone database (tzdata)"))?;
    let mut rng = Rng::new(1);
    for period in &PERIODS {
        let [first, _] = period.days();
        let local: Zoned = first.to_zoned(zone.clone())?;
        for number in 0..DAYS {
            let midnight = local.timestamp() + SignedDuration::from_hours(24 * number);
            // Both begin on a Monday.
            for (second, frame) in day::frames(period, number, number % 7 >= 5, &mut rng) {
                let at = Timestamp::from_parts(midnight.as_second() + second, 0);
                take(period, at, &version.frame(frame))?;
            }
        }
    }
    Ok(())
}

/// Writes a capture for each period, named by it, and the configuration to replay them by.
///
/// # Errors
/// The folder cannot be written.
pub fn write(folder: &Path, version: Version) -> Result<()> {
    let unwritable = || format!("cannot write into {}; name another folder", folder.display());
    fs::create_dir_all(folder).with_context(unwritable)?;
    let texts = [SENSOR.to_owned() + &sections(version), far_ends(version)];
    for (name, text) in FILES.into_iter().zip(texts) {
        fs::write(folder.join(name), text).with_context(unwritable)?;
    }
    let mut out = None;
    each(version, |period, at, frame| {
        if out.as_ref().is_none_or(|(name, _)| *name != period.name) {
            let file = File::create(folder.join(period.name).with_extension("pcap")).with_context(unwritable)?;
            out = Some((period.name, PcapWriter::new(BufWriter::new(file), LinkType::Ethernet)?));
        }
        let Some((_, out)) = &mut out else { return Ok(()) };
        out.write_frame(at, frame.len() as u32, frame).with_context(unwritable)
    })
}
