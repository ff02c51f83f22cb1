//! Facts in a MaxMind database (MaxMind DB File Format Specification 2.0), of the vendors' different vocabularies.

use std::{collections::HashMap, path::Path};

use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;

use super::{
    CounterpartError, MAX_DATABASE_BYTES,
    facts::{Fact, Facts, TextId},
    rows::{RowProblem, country_of, is_name},
};
use crate::{
    cidr::Cidr,
    table_file::{Provenance, bytes, parse_asn},
};

/// What the name of a database ends with, compressed or not.
const SUFFIXES: [&str; 3] = [".mmdb", ".mmdb.gz", ".mmdb.bz2"];

/// Whether a file is a database, by its name: the format has its mark at the end.
pub(super) fn is_named_so(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// What a record of any of these databases may say.
#[derive(Debug, Deserialize)]
struct Record<'a> {
    /// GeoLite2 Country and City: a map with `iso_code`. IPinfo: the code, or a name with the code beside it.
    #[serde(borrow)]
    country: Option<Country<'a>>,
    country_code: Option<&'a str>,
    /// GeoLite2 ASN.
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'a str>,
    /// IPinfo: `AS64496`, or the number.
    #[serde(borrow)]
    asn: Option<Asn<'a>>,
    as_name: Option<&'a str>,
    organization: Option<&'a str>,
    name: Option<&'a str>,
    /// IPinfo: `isp`, `hosting`, `education`, `business`.
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    as_type: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Country<'a> {
    Text(&'a str),
    Map {
        #[serde(borrow)]
        iso_code: Option<&'a str>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asn<'a> {
    Number(u32),
    Text(&'a str),
}

/// A fact without its prefix: records are shared by many networks.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    country: Option<[u8; 2]>,
    asn: Option<u32>,
    as_name: Option<TextId>,
    kind: Option<TextId>,
}

/// Reads a database, network by network.
pub(super) fn read(path: &Path, file: u8, facts: &mut Facts) -> Result<Provenance, CounterpartError> {
    let damaged = |source| CounterpartError::Database { path: path.to_owned(), source };
    let refused = |problem| CounterpartError::DatabaseRow { path: path.to_owned(), problem };
    let (content, mut provenance) = bytes(path, MAX_DATABASE_BYTES)?;
    let reader = Reader::from_source(content).map_err(damaged)?;
    let mut known: HashMap<usize, Said> = HashMap::new();
    for network in reader.networks(WithinOptions::default()).map_err(damaged)? {
        let result = network.map_err(damaged)?;
        let Some(offset) = result.offset() else { continue };
        let said = match known.get(&offset) {
            Some(said) => *said,
            None => {
                let record: Option<Record<'_>> = result.decode().map_err(damaged)?;
                let said = record.map_or(Ok(Said::default()), |record| record.say(facts)).map_err(refused)?;
                known.insert(offset, said);
                said
            }
        };
        let network = result.network().map_err(damaged)?;
        let cidr = Cidr::masked(network.ip(), network.prefix()).map_err(|error| refused(error.into()))?;
        let Said { country, asn, as_name, kind } = said;
        if country.is_some() || asn.is_some() || as_name.is_some() || kind.is_some() {
            facts.push(Fact { cidr, file, country, asn, as_name, kind }).map_err(refused)?;
            provenance.entries += 1;
        }
    }
    Ok(provenance)
}

impl Record<'_> {
    /// What it says; what is no country, number or name is passed over, for nobody can correct a database.
    fn say(&self, facts: &mut Facts) -> Result<Said, RowProblem> {
        let named = match &self.country {
            Some(Country::Text(text)) => Some(*text),
            Some(Country::Map { iso_code }) => *iso_code,
            None => None,
        };
        let country = named.and_then(country_of).or_else(|| self.country_code.and_then(country_of));
        let asn = match &self.asn {
            Some(Asn::Number(number)) => Some(*number),
            Some(Asn::Text(text)) => parse_asn(text).ok().flatten(),
            None => None,
        };
        let asn = self.autonomous_system_number.or(asn).filter(|asn| *asn != 0);
        let names = [self.autonomous_system_organization, self.as_name, self.organization, self.name];
        let as_name = names.into_iter().flatten().find(|name| !name.is_empty() && is_name(name));
        let kind = self.as_type.or(self.kind).filter(|kind| is_name(kind));
        let mut intern = |text: Option<&str>| facts.texts.intern(text.unwrap_or_default());
        Ok(Said { country, asn, as_name: intern(as_name)?, kind: intern(kind)? })
    }
}
