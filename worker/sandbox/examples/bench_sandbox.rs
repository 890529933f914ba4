//! Prints the sandbox's speed as JSON rows: `cargo run --release -p galapagos-sandbox --example bench_sandbox -- LAUNCHER [CHECKS] [THREADS]`.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use galapagos_sandbox::{Sandbox, Settings, bench};
use galapagos_telemetry::machine::load;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let launcher = arguments.next().ok_or("say where the executable galapagos-sandbox is")?;
    let checks = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let threads = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let start = load();
    let sandbox = Arc::new(Sandbox::new(Settings::new(launcher.into()))?);
    let rows = bench::run(&sandbox, checks, threads)?;
    let report = json!({"bench": "sandbox", "load": {"start": start, "end": load()}, "rows": rows});
    Ok(writeln!(std::io::stdout(), "{report:#}")?)
}
