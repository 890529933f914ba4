//! The HTTP page of a coordinator, read as a scraper would: plain GET, Prometheus text.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer that takes longer fails the test.
const HTTP_LIMIT: Duration = Duration::from_secs(10);

/// One sample of a metrics page.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Status code and body of `GET path`.
///
/// # Panics
/// If nobody answers with HTTP.
#[track_caller]
#[must_use]
pub fn http_get(address: &str, path: &str) -> (u16, String) {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(HTTP_LIMIT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().unwrap_or_else(|error| panic!("GET http://{address}{path}: {error}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer}"));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (code.unwrap_or_else(|| panic!("no HTTP status: {head}")), body.to_owned())
}

/// Samples by metric name.
///
/// # Panics
/// At the first line that is no Prometheus text.
#[track_caller]
#[must_use]
pub fn parse_metrics(text: &str) -> BTreeMap<String, Vec<Sample>> {
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, sample) = parse_sample(line).unwrap_or_else(|| panic!("not a Prometheus sample: {line}"));
        samples.entry(name).or_default().push(sample);
    }
    samples
}

/// `NAME{LABEL="VALUE",...} NUMBER`; label values with commas or quotes inside are not read.
fn parse_sample(line: &str) -> Option<(String, Sample)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
    };
    let parse_label = |label: &str| {
        let (key, value) = label.split_once('=')?;
        Some((key.to_owned(), value.strip_prefix('"')?.strip_suffix('"')?.to_owned()))
    };
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(parse_label).collect::<Option<_>>()?;
    let valid = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    (valid && !name.is_empty()).then_some((name.to_owned(), Sample { labels, value: value.parse().ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_with_and_without_labels_are_read() {
        let metrics = parse_metrics("# TYPE jobs gauge\njobs{state=\"done\",kind=\"bout\"} 3\nup 1\n# EOF\n");
        assert_eq!(metrics["jobs"][0].labels["kind"], "bout");
        assert_eq!((metrics["jobs"][0].value, metrics["up"][0].value), (3.0, 1.0));
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["<html>", "jobs{state=done} 3", "jobs three"] {
            assert_eq!(parse_sample(line), None, "{line}");
        }
    }
}
