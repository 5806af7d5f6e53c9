//! What is asked of a node by HTTP: whether it lives, whether it is of use, and what it measures.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use raft_core::server::Server;
use raft_net::Counters;
use raft_storage::StorageMeter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ended::Ended;
use super::store::Store;

/// Connections that may be open; the next one waits for one of them to end.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a node may take to say how it is. One that takes longer is not ready.
const ANSWER: Duration = Duration::from_secs(2);
/// How long to wait where no connection can be taken: some have to end first.
const REST: Duration = Duration::from_millis(100);

/// Who listens.
pub(super) struct Http {
    listener: TcpListener,
}

/// What is asked about.
#[derive(Clone)]
pub(super) struct About {
    pub(super) server: Server<Store>,
    pub(super) counters: Arc<Counters>,
    pub(super) meter: StorageMeter,
}

impl Http {
    /// Begins to listen.
    pub(super) async fn listen(address: &str) -> Result<Self, Ended> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| Ended::listening("http", address, &error))?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "answers HTTP");
        }
        Ok(Self { listener })
    }

    /// Answers until it is dropped.
    pub(super) async fn serve(self, about: About) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep(REST).await;
                continue;
            };
            let about = about.clone();
            connections.spawn(async move {
                converse(stream, about).await;
                drop(place);
            });
        }
    }
}

/// A connection, to its end. Of one that fails nobody is told: whoever asked has gone away.
fn converse(stream: TcpStream, about: About) -> impl Future<Output = ()> + Send {
    let answer = service_fn(move |request: Request<Incoming>| {
        let about = about.clone();
        async move {
            let asked = answer(&about, request.method(), request.uri().path());
            Ok::<_, Infallible>(timeout(ANSWER, asked).await.unwrap_or_else(|_| {
                plain(StatusCode::SERVICE_UNAVAILABLE, "the node does not answer in time\n")
            }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), answer);
    async move { drop(connection.await) }
}

async fn answer(about: &About, method: &Method, path: &str) -> Response<String> {
    let gone = || plain(StatusCode::SERVICE_UNAVAILABLE, "the server has ended\n");
    if method != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match path {
        "/metrics" => match metrics(about).await {
            Some(page) => typed(StatusCode::OK, prometheus_text::CONTENT_TYPE, page),
            None => gone(),
        },
        "/health" => match about.server.membership().await {
            Some(_) => plain(StatusCode::OK, "ok\n"),
            None => gone(),
        },
        "/ready" => match ready(&about.server).await {
            Ok(()) => plain(StatusCode::OK, "ok\n"),
            Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /health and /ready\n"),
    }
}

/// Whether the node can answer clients, or else why not.
async fn ready(server: &Server<Store>) -> Result<(), String> {
    let membership = server.membership().await.ok_or("the server has ended")?;
    if let Some(entry) = membership.removed {
        return Err(format!("removed from the cluster by entry {entry}: it may be stopped"));
    }
    let status = server.status();
    if status.damaged > 0 {
        return Err(format!("the disk has lost {} entries: they are being fetched", status.damaged));
    }
    if status.suspect {
        return Err("the end of the log may be lost: it is to be caught up by a leader".to_owned());
    }
    status.leader.map(|_| ()).ok_or_else(|| "no leader is known".to_owned())
}

/// What is measured now, as Prometheus reads it; none if the server has ended.
async fn metrics(about: &About) -> Option<String> {
    let (mut page, mut registry) = (String::new(), Registry::default());
    registry.register_collector(Box::new(about.server.metrics().await?));
    registry.register_collector(Box::new(Arc::clone(&about.counters)));
    registry.register_collector(Box::new(about.meter.metrics()));
    prometheus_text::encode(&mut page, &registry).ok()?;
    Some(page)
}

fn plain(status: StatusCode, body: impl Into<String>) -> Response<String> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Response<String> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
