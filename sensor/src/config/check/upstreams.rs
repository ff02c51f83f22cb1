//! Upstreams: each known by something, and none by what another is known by.

use std::{fmt::Display, ops::Range, str::FromStr};

use super::{Check, Seen};
use crate::{
    cidr::quote,
    config::{
        Interface, InterfaceName, MAX_UPSTREAM_ADDRESSES, MAX_UPSTREAMS, MAX_VLAN, Name, Upstream,
        limits::bounded,
        nearest::nearest,
        raw::{Number, RawUpstream, Text},
        upstream::{Mac, NeighborAddress},
    },
};

impl Check<'_, '_> {
    /// Upstreams in the order of the file; `interfaces` are those they may name, `None` where any name will do.
    pub(super) fn upstreams(&mut self, raw: &[RawUpstream], interfaces: Option<&[Interface]>) -> Vec<Upstream> {
        let mut names = Seen::new("upstream");
        let mut upstreams: Vec<(Upstream, Range<usize>)> = vec![];
        for (index, raw) in raw.iter().enumerate() {
            if index == MAX_UPSTREAMS {
                let message = format!("one upstream too many: at most {MAX_UPSTREAMS} can be named; join some");
                self.problems.add(&raw.span, message);
            }
            if index >= MAX_UPSTREAMS {
                continue;
            }
            let Some(upstream) = self.upstream(raw, &mut names, interfaces) else { continue };
            if let Some((other, span)) = upstreams.iter().find(|(other, _)| say_the_same(&upstream, other))
                && !self.problems.overflow()
            {
                let (name, other) = (quote(upstream.name.as_str()), quote(other.name.as_str()));
                let line = self.problems.line(span);
                let fix = "give one of them another mac, neighbor, vlan or interface, or remove it";
                let message = format!(
                    "upstream {name} says the same as {other} (line {line}), and one neighbour can be both; {fix}"
                );
                self.problems.add(&raw.span, message);
            }
            upstreams.push((upstream, raw.span.clone()));
        }
        upstreams.into_iter().map(|(upstream, _)| upstream).collect()
    }

    fn upstream(&mut self, raw: &RawUpstream, names: &mut Seen, interfaces: Option<&[Interface]>) -> Option<Upstream> {
        let name = raw.name.as_ref().and_then(|text| self.unique::<Name>(text, names));
        let asn = raw.asn.as_ref().map_or(Some(None), |asn| self.number("asn", asn, 1, u32::MAX).map(Some));
        let vlan = raw.vlan.as_ref().map_or(Some(None), |vlan| {
            let number = self.number("vlan", vlan, 1, MAX_VLAN.into())?;
            Some(u16::try_from(number).ok())
        });
        let macs = self.addresses::<Mac>("mac", raw.macs.as_deref(), &raw.span);
        let neighbors = self.addresses::<NeighborAddress>("neighbor", raw.neighbors.as_deref(), &raw.span);
        let interface = raw.interface.as_ref().map_or(Some(None), |text| self.known(text, interfaces).map(Some));
        if !raw.tells_apart {
            let fix = "add mac, neighbor, vlan or interface";
            self.problems.add(&raw.span, format!("nothing says which neighbour this upstream is; {fix}"));
        }
        let macs = macs?.into_iter().map(|mac| mac.0).collect();
        let neighbors = neighbors?.into_iter().map(|address| address.0).collect();
        Some(Upstream { name: name?, asn: asn?, macs, neighbors, vlan: vlan?, interface: interface? })
    }

    /// The entries of a list of addresses, each once; no list is an empty one.
    fn addresses<T>(&mut self, key: &str, raw: Option<&[Text]>, span: &Range<usize>) -> Option<Vec<T>>
    where
        T: FromStr<Err: Display> + PartialEq,
    {
        let Some(texts) = raw else { return Some(vec![]) };
        let mut addresses: Vec<T> = vec![];
        let mut all = true;
        for text in texts.iter().take(MAX_UPSTREAM_ADDRESSES) {
            match self.parse(text) {
                Some(address) if addresses.contains(&address) => {}
                Some(address) => addresses.push(address),
                None => all = false,
            }
        }
        if let Some(text) = texts.get(MAX_UPSTREAM_ADDRESSES) {
            let message = format!("{key} has more than {MAX_UPSTREAM_ADDRESSES} entries; make two upstreams of them");
            self.problems.add(&text.span(), message);
            all = false;
        }
        if texts.is_empty() {
            // It would let any neighbour through where the operator meant to name one.
            self.problems.add(span, format!("{key} is an empty list; write an address into it, or remove {key}"));
        }
        (all && !addresses.is_empty()).then_some(addresses)
    }

    /// The name of an interface that is configured.
    fn known(&mut self, text: &Text, interfaces: Option<&[Interface]>) -> Option<InterfaceName> {
        let name = self.parse::<InterfaceName>(text)?;
        let Some(interfaces) = interfaces else { return Some(name) };
        if interfaces.iter().any(|interface| interface.name == name) {
            return Some(name);
        }
        let quoted = quote(name.as_str());
        let fix = match nearest(name.as_str(), interfaces.iter().map(|interface| interface.name.as_str())) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "add an [[interface]] of that name, or name one that there is".to_owned(),
        };
        self.problems.add(&text.span(), format!("no interface {quoted} is configured; {fix}"));
        None
    }

    /// A number within its bounds.
    pub(super) fn number(&mut self, key: &str, number: &Number, least: u32, most: u32) -> Option<u32> {
        bounded(key, *number.get_ref(), least, most).map_err(|error| self.problems.add(&number.span(), error)).ok()
    }
}

/// Whether some neighbour fits both, and neither says more about it than the other: the same kinds of criteria, with a value
/// of each in common.
fn say_the_same(one: &Upstream, other: &Upstream) -> bool {
    fn meet<T: PartialEq>(one: &[T], other: &[T]) -> bool {
        (one.is_empty() && other.is_empty()) || one.iter().any(|value| other.contains(value))
    }
    meet(&one.macs, &other.macs)
        && meet(&one.neighbors, &other.neighbors)
        && one.vlan == other.vlan
        && one.interface == other.interface
}
