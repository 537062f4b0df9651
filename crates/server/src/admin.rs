//! The admin port: HTTP for monitoring, on a thread of its own.
//!
//! - `/metrics`: figures in the Prometheus (OpenMetrics) text format;
//! - `/healthz`: 200 while the process runs, for "restart it if this fails";
//! - `/readyz`: 200 while this node can serve reads, else 503 and the reason, for "send clients
//!   here".
//!
//! It answers from what the reactor last published, so it can neither slow the reactor down nor
//! hang with it: a reactor that is stuck shows as a 503. Nothing here changes anything, and there
//! is no authentication: bind it where only monitoring can reach it.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tracing::{debug, warn};

use crate::metrics::Published;

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Requests served at a time; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 64;

/// A client that does not finish its request's head within this time is disconnected.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the port rests after a failed accept, so that a lack of descriptors is not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The running admin port; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Admin {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What requests are answered from.
#[derive(Debug)]
struct Sources {
    registry: Registry,
    published: Arc<Published>,
}

impl Admin {
    /// Serves bound sockets on a new thread.
    pub(crate) fn start(
        listeners: Vec<StdListener>,
        registry: Registry,
        published: Arc<Published>,
    ) -> io::Result<Admin> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sources = Arc::new(Sources {
            registry,
            published,
        });
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("admin".into()).spawn(move || {
            runtime.block_on(async move {
                for listener in listeners {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => {
                            tokio::spawn(accept_all(listener, Arc::clone(&sources)));
                        }
                        Err(error) => warn!(%error, "the admin port cannot be served"),
                    }
                }
                // Either the word to stop, or the end of the one who could have said it.
                let _ = stopped.await;
            });
        })?;
        Ok(Admin {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept_all(listener: TcpListener, sources: Arc<Sources>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                debug!(%error, "a connection to the admin port failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let sources = Arc::clone(&sources);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request| {
                let response = answer(&sources, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(socket), service);
            if let Err(error) = connection.await {
                debug!(%error, "an admin connection ended early");
            }
        });
    }
}

fn answer(sources: &Sources, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = respond(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT_TYPE,
            "GET only\n".into(),
        );
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            let mut text = String::new();
            match encode(&mut text, &sources.registry) {
                Ok(()) => respond(StatusCode::OK, METRICS_TYPE, text),
                Err(error) => respond(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    TEXT_TYPE,
                    format!("cannot write the metrics: {error}\n"),
                ),
            }
        }
        "/healthz" => respond(StatusCode::OK, TEXT_TYPE, "ok\n".into()),
        "/readyz" => match sources.published.unready_reason() {
            None => respond(StatusCode::OK, TEXT_TYPE, "ready\n".into()),
            Some(reason) => respond(
                StatusCode::SERVICE_UNAVAILABLE,
                TEXT_TYPE,
                format!("{reason}\n"),
            ),
        },
        _ => respond(
            StatusCode::NOT_FOUND,
            TEXT_TYPE,
            "try /metrics, /healthz or /readyz\n".into(),
        ),
    }
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
