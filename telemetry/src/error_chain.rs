//! Prints an error together with every cause below it, since our errors say what we tried and leave the rest to
//! `source`.
//!
//! Foreign errors often repeat their cause in their own text; a cause that the line above already ends with is not
//! printed twice.

use std::error::Error;
use std::fmt;

/// Displays an error and its sources: `{}` on one line joined by `: ` for logs, `{:#}` one cause a line for people.
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a>(&'a dyn Error);

impl<'a> ErrorChain<'a> {
    #[must_use]
    pub fn new(error: &'a dyn Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if f.alternate() { "\n  caused by: " } else { ": " };
        let mut above = self.0.to_string();
        f.write_str(&above)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !above.ends_with(&text) {
                write!(f, "{separator}{text}")?;
                above = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

/// The text an executable prints on stderr before it exits with a failure: `error: ...`, then one `caused by: ...` a
/// line.
#[must_use]
pub fn report(error: &dyn Error) -> String {
    format!("error: {:#}", ErrorChain::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<dyn Error>>,
    }

    fn layer(text: &'static str, source: impl Error + 'static) -> Layer {
        Layer { text, source: Some(Box::new(source)) }
    }

    #[test]
    fn prints_every_cause_once() {
        let disk = io::Error::other("no space left");
        let error = layer("could not start the run", layer("could not open the store at /tmp/s", disk));
        assert_eq!(
            report(&error),
            "error: could not start the run\n  caused by: could not open the store at /tmp/s\n  caused by: no space left"
        );
        assert_eq!(
            ErrorChain::new(&error).to_string(),
            "could not start the run: could not open the store at /tmp/s: no space left"
        );
    }

    #[test]
    fn skips_a_cause_that_its_parent_already_says() {
        let error =
            layer("could not connect", layer("transport: refused", layer("refused", io::Error::other("code 111"))));
        assert_eq!(ErrorChain::new(&error).to_string(), "could not connect: transport: refused: code 111");
    }
}
