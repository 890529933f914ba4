//! What an experiment's figures were measured with: the machine and the versions. Read once, at the end.

use serde::Serialize;

/// The machine; what cannot be read is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    pub cpu: Option<String>,
    /// Logical processors that this process may use.
    pub processors: usize,
    pub memory_bytes: Option<u64>,
    pub os: &'static str,
    pub arch: &'static str,
    /// Mean number of runnable processes over 1, 5 and 15 minutes: near `processors` or above, times are not comparable.
    pub load: Option<[f64; 3]>,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Versions {
    pub galapagos: &'static str,
    /// Format version of recipes.
    pub recipe_format: u32,
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: field(&read("/proc/meminfo"), "MemTotal").and_then(|text| kibibytes(&text)),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            load: load(&read("/proc/loadavg")),
        }
    }
}

impl Versions {
    /// Of this executable, with recipes of that format.
    #[must_use]
    pub fn here(recipe_format: u32) -> Self {
        Self { galapagos: env!("CARGO_PKG_VERSION"), recipe_format }
    }
}

/// The value of the first line `key : value`.
fn field(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

fn kibibytes(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.parse::<u64>().ok().map(|kibi| kibi * 1024)
}

fn load(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_whitespace().map(|word| word.parse().ok());
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        assert_eq!(field("a : b\nmodel name\t: Some CPU @ 2 GHz\n", "model name").unwrap(), "Some CPU @ 2 GHz");
        assert_eq!(kibibytes("2048 kB"), Some(2_097_152));
        assert_eq!(load("0.50 1.25 2.00 3/400 5\n"), Some([0.5, 1.25, 2.0]));
        assert_eq!(load(""), None);
    }
}
