//! Sets up logging for a process: events to stderr, filtered by `GALAPAGOS_LOG`, panics logged like any other error.
//!
//! stdout stays free for results and for the lines that parents read. Libraries only emit events; nothing but `main`
//! calls this.

use std::env::VarError;
use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Environment variable with the filter, in `tracing`'s syntax, e.g. `debug` or `galapagos_worker=trace,warn`.
pub const LOG_ENV: &str = "GALAPAGOS_LOG";

/// Our own crates from `info` up, everybody else's from `warn` up.
const DEFAULT_FILTER: &str = "warn,galapagos=info";

/// How events look on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line an event, for people.
    Text,
    /// One JSON object an event, for log collectors.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("{LOG_ENV} is not valid unicode; it must be a filter such as `info` or `galapagos_worker=debug,warn`")]
    NotUnicode,
    #[error("{filter:?} is not a log filter; {LOG_ENV} must be like `info` or `galapagos_worker=debug,warn`")]
    BadFilter { filter: String, source: ParseError },
    #[error("logging was already set up in this process")]
    AlreadySet { source: TryInitError },
}

/// [`init_with`] the filter `warn,galapagos=info`.
///
/// # Errors
/// If `GALAPAGOS_LOG` cannot be read as a filter, or a subscriber is already installed.
pub fn init(format: Format) -> Result<(), InitError> {
    init_with(format, DEFAULT_FILTER)
}

/// Installs the process-wide subscriber and the panic hook. `GALAPAGOS_LOG` wins over `default_filter`; a tool that
/// draws progress on the terminal passes something quieter than the daemons' [`init`].
///
/// # Errors
/// If the filter cannot be read, or a subscriber is already installed.
pub fn init_with(format: Format, default_filter: &str) -> Result<(), InitError> {
    let filter = match std::env::var(LOG_ENV) {
        Ok(filter) => parse_filter(&filter)?,
        Err(VarError::NotPresent) => parse_filter(default_filter)?,
        Err(VarError::NotUnicode(_)) => return Err(InitError::NotUnicode),
    };
    // A parent that died took the reader of stderr along; complaining about that on stderr would panic.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    let set = match format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        Format::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|source| InitError::AlreadySet { source })?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn parse_filter(filter: &str) -> Result<EnvFilter, InitError> {
    EnvFilter::builder().parse(filter).map_err(|source| InitError::BadFilter { filter: filter.to_owned(), source })
}

/// Logs a panic with its place and thread, inside whatever span it happened in. It does not end the process: the
/// owner of the task or thread learns of the panic by joining it.
fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("(panic without a message)");
    let place = info.location().map(ToString::to_string);
    tracing::error!(panic.place = place.as_deref(), thread = std::thread::current().name(), "panicked: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_filter_is_valid() {
        let filter = parse_filter(DEFAULT_FILTER).unwrap();
        assert_eq!(filter.to_string(), "galapagos=info,warn");
    }

    #[test]
    fn bad_filter_names_the_variable_and_the_value() {
        let error = parse_filter("galapagos=shout").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("GALAPAGOS_LOG") && text.contains("\"galapagos=shout\""), "{text}");
    }

    #[test]
    fn second_set_up_is_refused() {
        init(Format::Text).unwrap();
        assert!(matches!(init(Format::Json), Err(InitError::AlreadySet { .. })));
    }
}
