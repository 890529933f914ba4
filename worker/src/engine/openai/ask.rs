//! Many calls at once: some in flight, answers in order, given up when the caller cancels.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use super::RemoteError;
use super::client::Client;
use crate::engine::{Progress, Watch};

/// Requests in flight: enough to fill the server's batch, few enough to cancel soon.
pub(super) const IN_FLIGHT: usize = 64;

/// How often a waiting call looks whether it is cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(200);

/// Why there are no answers.
#[derive(Debug)]
pub(super) enum AskError {
    Cancelled,
    Server(RemoteError),
}

/// What one answer holds.
#[derive(Debug)]
pub(super) struct Read<T> {
    pub(super) made: Vec<T>,
    /// Tokens sampled for it.
    pub(super) tokens: u64,
}

/// Posts each of `bodies` to `path`; `read` makes of the answer to a body, by its place, what was asked for. The first failure ends
/// all.
pub(super) async fn all<T>(
    client: &Client,
    path: &str,
    bodies: Vec<Value>,
    read: impl Fn(usize, &Value) -> Result<Read<T>, RemoteError>,
    watch: &Watch,
) -> Result<Vec<T>, AskError> {
    let one = |(place, body): (usize, Value)| async move {
        if watch.cancel.is_raised() {
            return Err(AskError::Cancelled);
        }
        let answer = client.post(path, &body).await;
        let answer = answer.map_err(|source| AskError::Server(RemoteError::Call { source }))?;
        Ok((place, answer))
    };
    let mut answers = futures::stream::iter(bodies.into_iter().enumerate().map(one)).buffered(IN_FLIGHT);
    let (mut all, mut progress) = (Vec::new(), Progress::default());
    loop {
        // A cancelled attempt ends soon: what is in flight is dropped, which closes its connections.
        let Ok(next) = tokio::time::timeout(CANCEL_CHECK, answers.next()).await else {
            if watch.cancel.is_raised() {
                return Err(AskError::Cancelled);
            }
            continue;
        };
        let Some(answered) = next else { return Ok(all) };
        let (place, answer) = answered?;
        let read = read(place, &answer).map_err(AskError::Server)?;
        progress.ended += read.made.len() as u64;
        progress.tokens += read.tokens;
        (watch.progress)(progress);
        all.extend(read.made);
    }
}
