//! The page over HTTP: in a thread of its own, so that no scraper delays anything.
//!
//! A few connections at a time, one request each, within a time limit: whoever is slow holds up other scrapers at worst.

use std::{
    io,
    net::{self, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Sleep, sleep},
};

use super::{Format, Shared};

/// Connections that are served at a time; others wait.
const MAX_CONNECTIONS: usize = 8;
/// How long a connection may take, from its beginning to the end of the answer: as long as Prometheus waits by default.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long no connection is accepted where that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Its end wakes the thread.
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Listens, and answers from here on.
    ///
    /// # Errors
    /// The address cannot be had, or no further thread.
    pub fn start(listen: SocketAddr, shared: Arc<Shared>) -> Result<Self> {
        let open = || -> io::Result<(net::TcpListener, SocketAddr)> {
            let listener = net::TcpListener::bind(listen)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = open().with_context(|| {
            format!(
                "[metrics]: cannot listen on {listen}; stop what listens there (another sensor?), or correct listen"
            )
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("[metrics]: cannot start its runtime; allow more files")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    served = serve(listener, shared) => {
                        if let Err(error) = served {
                            tracing::error!("[metrics]: {error:#}; restart the agent to have the page again");
                        }
                    }
                    // The sender is never used: this is its end.
                    _ = stopped => {}
                }
            });
        };
        let started = thread::Builder::new().name("metrics".to_owned()).spawn(run);
        started.context("[metrics]: cannot start its thread; allow more")?;
        Ok(Self { address, _stop: stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: net::TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let router = Router::new()
        .route("/metrics", get(page))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(shared)
        .layer(middleware::map_response(close));
    axum::serve(Few { listener, places: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }, router).await
}

async fn page(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    ([(header::CONTENT_TYPE, format.content_type())], shared.page(format)).into_response()
}

async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    answer(shared.is_alive())
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    answer(shared.is_ready())
}

fn answer(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}

/// One request a connection: the time limit of the one is that of the other, and no place is held between two scrapes.
async fn close(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Accepts as long as there are places.
struct Few {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Listener for Few {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Nobody closes it.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { std::future::pending().await };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    return (Connection { stream, deadline: Box::pin(sleep(DEADLINE)), _place: place }, peer);
                }
                Err(error) => {
                    tracing::debug!("[metrics]: cannot accept: {error}");
                    sleep(RETRY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that breaks when its time is over.
struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn check(&mut self, task: &mut Task<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(task) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Task<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(task)?;
        Pin::new(&mut self.stream).poll_read(task, to)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(task)?;
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.check(task)?;
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
