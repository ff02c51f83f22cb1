//! How messages reach a collector: datagrams, TCP or TLS.

use std::{
    io,
    os::fd::{AsRawFd as _, RawFd},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use futures_util::FutureExt as _;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket, lookup_host},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ProtocolVersion, pki_types::ServerName},
};

use super::super::{Failure, pulse::Pulse, tls::Trust};
use crate::config::Host;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long bytes may be on their way before the connection is taken for dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// How long it is quiet before the other end is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a collector has to refuse the certificate that it was shown: in TLS 1.3 that comes after the handshake.
const SETTLE: Duration = Duration::from_millis(500);
/// How often that is looked at.
const SETTLE_STEP: Duration = Duration::from_millis(20);
/// Datagrams that are sent in one go; what a collector's socket buffer takes is seldom more.
const BURST: usize = 32;
/// The pause after them.
const BURST_PAUSE: Duration = Duration::from_millis(2);
/// First and longest pause before it is asked again whether all was acknowledged.
const ACK_PAUSES: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(20)];

/// A byte stream.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A way to a collector that is open.
pub(super) enum Wire {
    Udp(UdpSocket),
    Stream(Stream),
}

/// A connection, in the clear or not.
pub(super) struct Stream {
    io: Box<dyn Io>,
    /// Of the socket below, which lives as long as `io`.
    socket: RawFd,
}

impl Wire {
    /// Takes datagrams to a host.
    pub(super) async fn udp(host: &Host) -> Result<Self> {
        let mut last = None;
        for address in resolve(host).await? {
            let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let open = async {
                let socket = UdpSocket::bind(local).await?;
                socket.connect(address).await?;
                Ok::<_, io::Error>(socket)
            };
            match open.await {
                Ok(socket) => return Ok(Self::Udp(socket)),
                Err(error) => last = Some(error),
            }
        }
        Err(unreachable(host, last))
    }

    /// Connects to a host.
    pub(super) async fn tcp(host: &Host) -> Result<Self> {
        let tcp = connect(host).await?;
        let socket = tcp.as_raw_fd();
        Ok(Self::Stream(Stream { io: Box::new(tcp), socket }))
    }

    /// Connects to a host, and has each end show who it is.
    pub(super) async fn tls(host: &Host, trust: &Trust) -> Result<Self> {
        let name = ServerName::try_from(host.name.clone());
        let name = name.with_context(|| format!("{host}: no name that a certificate can have; correct endpoint"));
        let (name, tcp) = (name.context(Failure::Tls)?, connect(host).await?);
        let socket = tcp.as_raw_fd();
        let agreed = timeout(CONNECT, TlsConnector::from(trust.client.clone()).connect(name, tcp)).await;
        let agreed = agreed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let refused = |error: io::Error| {
            let fix = "see to ca, cert and key here, and to the certificate and the log of the collector";
            anyhow!("tls://{host}: {error}; {fix}").context(Failure::Tls)
        };
        let mut io = agreed.map_err(refused)?;
        settle(&mut io).await.map_err(refused)?;
        Ok(Self::Stream(Stream { io: Box::new(io), socket }))
    }

    /// Sends messages; once this returns a stream has acknowledged them, and datagrams are gone.
    pub(super) async fn send(&mut self, messages: &[Vec<u8>], pulse: &Pulse) -> io::Result<()> {
        match self {
            Self::Udp(socket) => {
                for burst in messages.chunks(BURST) {
                    for message in burst {
                        socket.send(message).await?;
                    }
                    sleep(BURST_PAUSE).await;
                }
                Ok(())
            }
            Self::Stream(stream) => {
                stream.see_whether_open()?;
                for message in messages {
                    stream.io.write_all(message).await?;
                    pulse.beat();
                }
                stream.io.flush().await?;
                stream.acknowledged(pulse).await
            }
        }
    }
}

impl Stream {
    /// A collector of IPFIX has nothing to say: whatever comes from there is the end of it.
    fn see_whether_open(&mut self) -> io::Result<()> {
        match self.io.read(&mut [0; 64]).now_or_never() {
            None => Ok(()),
            Some(Ok(0)) => Err(io::ErrorKind::ConnectionReset.into()),
            Some(Ok(_)) => Err(io::Error::other("it answers, which no collector of IPFIX does; correct endpoint")),
            Some(Err(error)) => Err(error),
        }
    }

    /// Waits until the other end's kernel has everything.
    async fn acknowledged(&mut self, pulse: &Pulse) -> io::Result<()> {
        let ([mut pause, longest], mut before) = (ACK_PAUSES, u32::MAX);
        loop {
            let left = unacknowledged(self.socket)?;
            if left == 0 {
                break;
            }
            if left < before {
                pulse.beat();
            }
            before = left;
            sleep(pause).await;
            self.see_whether_open()?;
            pause = (pause * 2).min(longest);
        }
        self.see_whether_open()
    }
}

/// Addresses of a host.
async fn resolve(host: &Host) -> Result<Vec<std::net::SocketAddr>> {
    let found = timeout(CONNECT, lookup_host((host.name.as_str(), host.port))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let found = found.with_context(|| format!("{host}: unknown host; correct endpoint, or see to the name service"));
    Ok(found.context(Failure::Connect)?.collect())
}

fn unreachable(host: &Host, error: Option<io::Error>) -> anyhow::Error {
    let why = error.map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
    anyhow!("{host}: {why}; start the collector, or correct endpoint").context(Failure::Connect)
}

async fn connect(host: &Host) -> Result<TcpStream> {
    let mut last = None;
    for address in resolve(host).await? {
        let tcp = timeout(CONNECT, TcpStream::connect(address)).await;
        let tcp = tcp.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match tcp.and_then(|tcp| prepare(&tcp).map(|()| tcp)) {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = Some(error),
        }
    }
    Err(unreachable(host, last))
}

/// Has the kernel find out about a collector that is gone without a word.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(tcp);
    tcp.set_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))
}

/// Gives the collector time to refuse. It accepts when it hands out tickets for later sessions, and where it has none, by saying nothing.
async fn settle(tls: &mut TlsStream<TcpStream>) -> io::Result<()> {
    let mut waited = Duration::ZERO;
    while waited < SETTLE {
        let connection = tls.get_ref().1;
        // Before 1.3 whoever shows no valid certificate is refused within the handshake.
        let is_accepted =
            connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) || connection.tls13_tickets_received() > 0;
        if is_accepted {
            break;
        }
        match timeout(SETTLE_STEP, tls.read(&mut [0; 64])).await {
            Err(_) => waited += SETTLE_STEP,
            Ok(Ok(0)) => return Err(io::ErrorKind::ConnectionReset.into()),
            Ok(Ok(_)) => return Err(io::Error::other("it answers, which no collector of IPFIX does")),
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Bytes that were written to a TCP socket and that the other end has not acknowledged (`tcp(7)`, SIOCOUTQ).
fn unacknowledged(socket: RawFd) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int, to which it is given a valid pointer; the descriptor is of a stream that is borrowed.
    let result = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut bytes) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(bytes.unsigned_abs()) }
}
