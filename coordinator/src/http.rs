//! Metrics and health over HTTP, for scrapers and probes. Read-only.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use galapagos_proto::status::Refusal;
use tokio::net::TcpListener;

use crate::census::Census;
use crate::error::Error;
use crate::handle::Handle;
use crate::metrics::Metrics;
use crate::stop::Stop;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Context {
    handle: Handle,
    metrics: Arc<Metrics>,
}

/// Serves `/metrics` and `/healthz` until `stop`.
///
/// # Errors
/// If the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    handle: Handle,
    metrics: Arc<Metrics>,
    mut stop: Stop,
) -> Result<(), Error> {
    let router = Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(health))
        .with_state(Context { handle, metrics });
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.wait().await })
        .await
        .map_err(|source| Error::Http { source })
}

async fn scrape(State(context): State<Context>) -> Response {
    match context.handle.look(Census::of).await {
        Ok(census) => match context.metrics.render(&census) {
            Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        },
        Err(refusal) => unavailable(&refusal),
    }
}

/// Healthy means that the driver answers: it neither stopped nor hangs in a commit.
async fn health(State(context): State<Context>) -> Response {
    match context.handle.look(|state, _| state.leader_epoch().0).await {
        Ok(epoch) => format!("ok, leader epoch {epoch}\n").into_response(),
        Err(refusal) => unavailable(&refusal),
    }
}

fn unavailable(refusal: &Refusal) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")).into_response()
}
