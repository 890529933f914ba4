//! The lines a rank writes on standard output: one JSON report each, of bounded length.

use galapagos_domain::round::RankReport;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Longer lines are no reports: the longest are failures with a chain of causes.
const LONGEST_BYTES: u64 = 64 << 10;

/// Quoted from a line that is no report.
const QUOTED_CHARS: usize = 120;

/// A line could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("its output cannot be read: {0}")]
    Read(std::io::Error),
    #[error("it wrote a line of more than {LONGEST_BYTES} bytes")]
    TooLong,
    #[error("it wrote {quoted:?}, which is no report: {source}")]
    NoReport { quoted: String, source: serde_json::Error },
}

/// Reads reports. A future that is dropped loses nothing: what was read of a line stays here.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(output: R) -> Self {
        Self { reader: BufReader::new(output), line: Vec::new() }
    }

    /// The next report; `None` at the end of the output.
    pub(super) async fn next(&mut self) -> Result<Option<RankReport>, LineError> {
        let room = LONGEST_BYTES.saturating_sub(self.line.len() as u64);
        let mut bounded = (&mut self.reader).take(room);
        bounded.read_until(b'\n', &mut self.line).await.map_err(LineError::Read)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        if self.line.len() as u64 >= LONGEST_BYTES {
            return Err(LineError::TooLong);
        }
        let line = std::mem::take(&mut self.line);
        serde_json::from_slice(&line).map(Some).map_err(|source| {
            let quoted = String::from_utf8_lossy(&line).trim_end().chars().take(QUOTED_CHARS).collect();
            LineError::NoReport { quoted, source }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_come_one_by_one_and_garbage_is_quoted() {
        let output = b"{\"ready\":{\"rendezvous\":null}}\nhello?\n".as_slice();
        let mut lines = Lines::new(output);
        assert_eq!(lines.next().await.unwrap(), Some(RankReport::Ready { rendezvous: None }));
        assert!(lines.next().await.unwrap_err().to_string().contains("\"hello?\""));
        assert_eq!(lines.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_endless_line_is_refused_before_it_fills_the_memory() {
        let mut lines = Lines::new(tokio::io::repeat(b'x'));
        assert!(matches!(lines.next().await, Err(LineError::TooLong)));
    }
}
