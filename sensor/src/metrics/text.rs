//! The two formats of a page: Prometheus text 0.0.4, and OpenMetrics 1.0.
//!
//! They differ in what a counter is declared as (`x_total`, and `x`), in what an `_info` is, and in the end of the page.

use std::fmt::{Display, Write as _};

/// How OpenMetrics is asked for, in `Accept`.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text exposition format, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.
    OpenMetrics,
}

impl Format {
    /// What a header `Accept` asks for: OpenMetrics where it is named, else the older one, which everything reads.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains(OPEN_METRICS) { Self::OpenMetrics } else { Self::Text }
    }

    /// The header `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, and begins anew with the process; `_total` goes without saying.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Says something by its labels, and is 1; `_info` goes without saying.
    Info,
}

impl Kind {
    /// What follows the name of the family in its samples.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Gauge => "",
            Self::Info => "_info",
        }
    }

    const fn name(self, format: Format) -> &'static str {
        match (self, format) {
            (Self::Counter, _) => "counter",
            (Self::Info, Format::OpenMetrics) => "info",
            (Self::Gauge | Self::Info, _) => "gauge",
        }
    }
}

/// A page being written.
pub(super) struct Page {
    format: Format,
    text: String,
}

/// A family of series being written: said what it is once it has one.
pub(super) struct Family<'p> {
    page: &'p mut Page,
    kind: Kind,
    /// Without suffix.
    name: &'static str,
    help: &'static str,
    is_declared: bool,
}

impl Page {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::new() }
    }

    /// Begins a family; `help` has no line ends, quotes and backslashes.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &'static str) -> Family<'_> {
        Family { page: self, kind, name, help, is_declared: false }
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Writing to a string cannot fail.
    fn put(&mut self, what: impl Display) {
        let _ = write!(self.text, "{what}");
    }
}

impl Family<'_> {
    /// Adds a series.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let Self { page, kind, name, help, is_declared } = self;
        let suffix = kind.suffix();
        if !*is_declared {
            *is_declared = true;
            let declared = if page.format == Format::Text { suffix } else { "" };
            let kind = kind.name(page.format);
            page.put(format_args!("# HELP {name}{declared} {help}\n# TYPE {name}{declared} {kind}\n"));
        }
        page.put(format_args!("{name}{suffix}"));
        for (index, (label, value)) in labels.iter().enumerate() {
            page.put(format_args!("{}{label}=\"", if index == 0 { '{' } else { ',' }));
            escape(value, &mut page.text);
            page.text.push('"');
        }
        page.put(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }
}

/// A label value as both formats write it.
fn escape(value: &str, to: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            other => to.push(other),
        }
    }
}
