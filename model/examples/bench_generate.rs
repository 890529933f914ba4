//! Tokens per second of generation: `cargo run --release -p galapagos-model --example bench_generate -- FOLDER [ROWS...]`.
//!
//! Each line is one batch of that many rows with different prompts of about 64 tokens and 48 new tokens each, prefill
//! included, on one thread: by the wall clock, and by this process's processor time, which a busy machine does not distort.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use galapagos_model::{Engine, EngineOptions, ModelFolder, Request, RunControl, Sampling};
use tch::Device;

const NEW_TOKENS: usize = 48;

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: bench_generate FOLDER [ROWS...]")?;
    let mut rows: Vec<usize> = arguments.map(|rows| rows.parse()).collect::<Result<_, _>>()?;
    if rows.is_empty() {
        rows = vec![1, 8, 32, 64];
    }
    let folder = ModelFolder::open(Path::new(&folder))?;
    let model = folder.load(Device::Cpu)?;
    let mut engine = Engine::new(&model, EngineOptions { share_prefixes: false, ..EngineOptions::default() })?;
    let prompt = |index: usize| {
        let text = format!("Question {index}: which of the numbers {index}, 71, 22, 50 and 9 is the largest? Answer: ");
        folder.tokenizer().encode(&text.repeat(2))
    };
    let request = |index: usize| -> Result<Request, Box<dyn Error>> {
        let sampling = Arc::new(Sampling::at(0.8));
        Ok(Request { sampling, seed: index as u64, ..Request::greedy(prompt(index)?, NEW_TOKENS) })
    };
    // Kernels are compiled at their first use.
    engine.generate(&[request(0)?], &mut RunControl::default())?;
    for rows in rows {
        let requests = (0..rows).map(request).collect::<Result<Vec<_>, _>>()?;
        let (wall, processor) = (wall_seconds()?, processor_seconds()?);
        let completions = engine.generate(&requests, &mut RunControl::default())?;
        let (wall, processor) = (wall_seconds()? - wall, processor_seconds()? - processor);
        let tokens = completions.iter().flatten().map(|completion| completion.tokens.len()).sum::<usize>() as f64;
        println!(
            "rows {rows:>3}  prompt {:>3}  {:>6.1} tokens/s  {:>6.1} tokens/processor-second",
            requests[0].prompt.len(),
            tokens / wall,
            tokens / processor
        );
    }
    Ok(())
}

/// Seconds since the machine started.
fn wall_seconds() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    Ok(text.split_whitespace().next().ok_or("empty /proc/uptime")?.parse()?)
}

/// Processor seconds of this process: user and system time, in hundredths of a second.
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The fields after the process name, which stands in brackets and may hold blanks.
    let (_, fields) = text.rsplit_once(')').ok_or("unexpected /proc/self/stat")?;
    let ticks = |index: usize| -> Result<f64, Box<dyn Error>> {
        Ok(fields.split_whitespace().nth(index).ok_or("unexpected /proc/self/stat")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
