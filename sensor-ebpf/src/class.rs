//! What traffic is found to be, and how sure that is.

/// How sure a class is: each level is worth more than those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Evidence {
    /// A guess by port.
    Port = 0,
    /// An address on a dated list.
    List = 1,
    /// Header or bytes of one direction.
    Payload = 2,
    /// Bytes of both directions agree.
    Confirmed = 3,
}

impl Evidence {
    /// All of them, weakest first.
    pub const ALL: [Self; 4] = [Self::Port, Self::List, Self::Payload, Self::Confirmed];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|evidence| evidence.name() == name)
    }

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::List => "list",
            Self::Payload => "payload",
            Self::Confirmed => "confirmed",
        }
    }
}

/// What classes have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Virtual private networks.
    Vpn,
    /// Networks that hide who speaks.
    Anonymity,
    /// One protocol inside another.
    Tunnel,
    /// Work for a mining pool.
    Mining,
    /// Nodes of a network of equals, those of cryptocurrencies among them.
    P2p,
    /// Mail between servers and from and to people.
    Mail,
    /// Files.
    File,
    /// Names and time.
    Naming,
    /// Work on another machine.
    Remote,
    /// The web and what looks like it.
    Web,
    /// Voice and chat.
    Talk,
    /// The sensor's own.
    Sensor,
    /// Nobody knows.
    Unknown,
}

impl Family {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vpn => "vpn",
            Self::Anonymity => "anonymity",
            Self::Tunnel => "tunnel",
            Self::Mining => "mining",
            Self::P2p => "p2p",
            Self::Mail => "mail",
            Self::File => "file",
            Self::Naming => "naming",
            Self::Remote => "remote",
            Self::Web => "web",
            Self::Talk => "talk",
            Self::Sensor => "sensor",
            Self::Unknown => "unknown",
        }
    }
}

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident $name:literal $family:ident,)*) => {
        /// The protocol class of traffic.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Class {
            $($(#[$doc])* $class,)*
        }

        impl Class {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$class,)*];

            /// The name in records.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)*
                }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|class| class.name() == name)
            }

            /// What it has in common with others.
            pub const fn family(self) -> Family {
                match self {
                    $(Self::$class => Family::$family,)*
                }
            }
        }
    };
}

classes! {
    /// Not decided, or nothing that is known.
    Unknown "unknown" Unknown,
    /// Data in names of the DNS.
    DnsTunnel "dns_tunnel" Tunnel,
    /// The Tor network.
    Tor "tor" Anonymity,
    /// OpenVPN.
    OpenVpn "openvpn" Vpn,
    /// WireGuard.
    WireGuard "wireguard" Vpn,
    /// ESP, AH and IKE.
    Ipsec "ipsec" Vpn,
    /// Layer 2 Tunnelling Protocol, versions 2 and 3.
    L2tp "l2tp" Vpn,
    /// Point-to-Point Tunnelling Protocol: its control connection and its GRE.
    Pptp "pptp" Vpn,
    /// Generic Routing Encapsulation.
    Gre "gre" Tunnel,
    /// IP in IP, in all four ways.
    Ipip "ipip" Tunnel,
    /// Secure Shell.
    Ssh "ssh" Remote,
    /// SOCKS 4 and 5.
    Socks "socks" Anonymity,
    /// Shadowsocks and what looks like it: encrypted from the first byte.
    Shadowsocks "shadowsocks" Anonymity,
    /// The obfs4 transport of Tor.
    Obfs4 "obfs4" Anonymity,
    /// Stratum and its relatives: a miner and its pool.
    Stratum "stratum" Mining,
    /// Nodes of Bitcoin and its relatives.
    BitcoinP2p "bitcoin_p2p" P2p,
    /// Nodes of Monero.
    MoneroP2p "monero_p2p" P2p,
    /// Nodes of Ethereum.
    EthereumP2p "ethereum_p2p" P2p,
    /// Telnet.
    Telnet "telnet" Remote,
    /// Internet Relay Chat.
    Irc "irc" Talk,
    /// BitTorrent: its peers, uTP, DHT and trackers over UDP.
    BitTorrent "bittorrent" P2p,
    /// Data in ICMP echoes.
    IcmpTunnel "icmp_tunnel" Tunnel,
    /// HTTP to a proxy: CONNECT, and requests for whole URLs.
    HttpProxy "http_proxy" Anonymity,
    /// File Transfer Protocol, its control connection.
    Ftp "ftp" File,
    /// Simple Mail Transfer Protocol.
    Smtp "smtp" Mail,
    /// Internet Message Access Protocol.
    Imap "imap" Mail,
    /// Post Office Protocol 3.
    Pop3 "pop3" Mail,
    /// The DNS, multicast and LLMNR excepted.
    Dns "dns" Naming,
    /// The DNS in TLS or HTTPS to a resolver that says so.
    EncryptedDns "encrypted_dns" Naming,
    /// TLS that is nothing more particular.
    Tls "tls" Web,
    /// QUIC that is nothing more particular.
    Quic "quic" Web,
    /// Remote Desktop Protocol.
    Rdp "rdp" Remote,
    /// Server Message Block.
    Smb "smb" File,
    /// Hypertext Transfer Protocol, versions 1 and 2 in the clear.
    Http "http" Web,
    /// Network Time Protocol.
    Ntp "ntp" Naming,
    /// Session Initiation Protocol.
    Sip "sip" Talk,
    /// Records of this sensor on their way to its collectors.
    SensorExport "sensor_export" Sensor,
}

impl Class {
    /// Whether it is worth a question in a network of ordinary use: what hides, tunnels, mines or trades among equals, and shells and chat in
    /// which machines are steered from afar.
    pub const fn is_suspicious(self) -> bool {
        match self.family() {
            Family::Vpn | Family::Anonymity | Family::Tunnel | Family::Mining | Family::P2p => true,
            Family::Remote | Family::Talk => !matches!(self, Self::Rdp | Self::Sip),
            Family::Mail | Family::File | Family::Naming | Family::Web => false,
            Family::Sensor | Family::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_and_what_hides_are_suspicious() {
        for class in [
            Class::Tor,
            Class::WireGuard,
            Class::Gre,
            Class::Stratum,
            Class::BitTorrent,
            Class::Ssh,
            Class::Telnet,
            Class::Irc,
        ] {
            assert!(class.is_suspicious(), "{}", class.name());
        }
        for class in [
            Class::Unknown,
            Class::Tls,
            Class::Dns,
            Class::EncryptedDns,
            Class::Smtp,
            Class::Smb,
            Class::Rdp,
            Class::Sip,
        ] {
            assert!(!class.is_suspicious(), "{}", class.name());
        }
    }

    #[test]
    fn numbers_and_names_are_one_each() {
        for (number, class) in Class::ALL.iter().enumerate() {
            assert_eq!(*class as usize, number);
            assert_eq!(Class::ALL.iter().filter(|other| other.name() == class.name()).count(), 1);
        }
        assert!(Evidence::ALL.is_sorted());
    }
}
