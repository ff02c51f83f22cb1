//! Services whose names look like those of a tunnel and are none.

/// Domains under which names carry hashes, addresses or keys on purpose, or are made by machines: lists of senders (Spamhaus, SURBL, URIBL, SpamCop,
/// SORBS, Barracuda, DNSWL, SenderBase, Mailspike, Cymru), look-ups of virus scanners (Sophos, McAfee, Trend Micro, Avast, AVG, ESET, Kaspersky,
/// Bitdefender, F-Secure, Webroot, Symantec), content networks and clouds (Akamai, Amazon, Rackspace, Google, Microsoft, Apple, Cloudflare, Fastly,
/// Facebook).
const SERVICES: [&str; 60] = [
    "1e100.net",
    "aaplimg.com",
    "akadns.net",
    "akahost.net",
    "akamai.net",
    "akamaiedge.net",
    "akamaihd.net",
    "akamaized.net",
    "amazonaws.com",
    "apple-dns.net",
    "apple.com",
    "avast.com",
    "avg.com",
    "avqs.net",
    "awsdns.com",
    "azure.com",
    "azureedge.net",
    "azurewebsites.net",
    "barracudacentral.org",
    "bitdefender.net",
    "cloudapp.net",
    "cloudflare.com",
    "cloudflare.net",
    "cloudfront.net",
    "cymru.com",
    "dnswl.org",
    "e5.sk",
    "edgekey.net",
    "edgesuite.net",
    "eset.com",
    "f-secure.com",
    "facebook.com",
    "fastly.net",
    "fbcdn.net",
    "google.com",
    "googleapis.com",
    "googleusercontent.com",
    "googlevideo.com",
    "gvt1.com",
    "icloud.com",
    "kaspersky-labs.com",
    "kaspersky.com",
    "mailspike.net",
    "mcafee.com",
    "microsoft.com",
    "msedge.net",
    "office.com",
    "rackcdn.com",
    "senderbase.org",
    "sophosxl.com",
    "sophosxl.net",
    "sorbs.net",
    "spamcop.net",
    "spamhaus.net",
    "spamhaus.org",
    "surbl.org",
    "symantec.com",
    "trafficmanager.net",
    "trendmicro.com",
    "uribl.com",
];

/// Top-level domains that belong to nobody outside: reverse look-ups and local names.
const TOPS: [&str; 8] = ["arpa", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost"];

/// Whether a registered domain, in lower case, is one of a service.
pub(super) fn is_service(domain: &[u8]) -> bool {
    SERVICES.binary_search_by(|service| service.as_bytes().cmp(domain)).is_ok()
}

/// Whether names under this top-level domain are not looked at.
pub(super) fn is_top(top: &[u8]) -> bool {
    TOPS.iter().any(|name| name.as_bytes() == top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found() {
        assert!(SERVICES.is_sorted());
        assert!(SERVICES.iter().all(|service| is_service(service.as_bytes())));
        assert!(!is_service(b"example.com") && is_top(b"arpa") && !is_top(b"com"));
    }
}
