//! The OpenAI wire: what is sent, and the strict reading of what comes back.

pub mod chat;
pub mod completions;

use galapagos_domain::job::Sampling;
use galapagos_domain::seed::Seed;
use serde_json::{Value, json};

/// Whether a server may be asked for more than OpenAI's own API has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// vLLM, SGLang, `galapagos serve`. Every choice is sent, also one that changes nothing: these servers take defaults of their
    /// own from a model's `generation_config.json`.
    Open,
    /// Not known. What a server may not know is sent only where it means something, and what is not sent is for it to choose.
    Unknown,
}

/// Adds how tokens are chosen to a request. `speculate` changes no token, which makes it the server's affair; a guide has a
/// place of its own.
fn add_sampling(body: &mut Value, sampling: &Sampling, seed: Seed, dialect: Dialect) {
    let Sampling { temperature, top_p, max_tokens: _, top_k, min_p, repetition_penalty, guide: _, speculate: _ } =
        sampling;
    body["temperature"] = json!(temperature);
    body["top_p"] = json!(top_p);
    // Servers take signed seeds.
    body["seed"] = json!(seed.0 >> 1);
    let always = dialect == Dialect::Open;
    if always || top_k.is_some() {
        body["top_k"] = top_k.map_or(json!(-1), |top_k| json!(top_k));
    }
    if always || *min_p > 0.0 {
        body["min_p"] = json!(min_p);
    }
    if always || *repetition_penalty != 1.0 {
        body["repetition_penalty"] = json!(repetition_penalty);
    }
}

/// The choices of `answer`, each read by `read`, in order of their index.
fn choices<T>(answer: &Value, samples: u32, read: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    let choices = answer.get("choices").and_then(Value::as_array).ok_or("it holds no `choices`")?;
    if choices.len() != samples as usize {
        return Err(format!("it holds {} choices where {samples} were asked for", choices.len()));
    }
    let mut found: Vec<Option<T>> = choices.iter().map(|_| None).collect();
    for choice in choices {
        let index = choice.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let place = index.and_then(|index| found.get_mut(index)).ok_or("a choice has no index in range")?;
        if place.replace(read(choice)?).is_some() {
            return Err("two choices have the same index".to_owned());
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// A list of token ids.
fn token_ids(value: Option<&Value>) -> Option<Vec<u32>> {
    let token = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    value?.as_array()?.iter().map(token).collect()
}
