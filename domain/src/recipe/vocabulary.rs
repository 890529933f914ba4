//! The words of the recipe language: near misses, the defaults worth naming beside a suggestion, and the words that this
//! version does not implement yet and therefore refuses by name.

use super::path::Path;
use super::search::DEFAULT_TEMPERATURE;

/// Words of the language without an implementation in this version: verbs, searches, operators, losses.
const PLANNED: [&str; 13] = [
    "figures",
    "sweep",
    "breed",
    "select",
    "remember",
    "population",
    "steady_state",
    "goal",
    "needs",
    "every",
    "judge",
    "openai",
    "arms",
];

/// Whether the language has the word and this version does not.
pub(super) fn is_planned(word: &str) -> bool {
    PLANNED.contains(&word)
}

/// [`is_planned`] of a field.
pub(super) fn is_planned_field(field: &str) -> bool {
    is_planned(field)
}

/// Defaults as (choice or verb, field, value), for suggestions.
pub(super) const DEFAULTS: [(&str, &str, f64); 19] = [
    ("recipe", "priority", 0.0),
    ("sample_k", "temperature", DEFAULT_TEMPERATURE),
    ("sample_k", "top_p", 1.0),
    ("sample_k", "min_p", 0.0),
    ("sample_k", "repetition_penalty", 1.0),
    ("evaluate", "temperature", DEFAULT_TEMPERATURE),
    ("tournament", "temperature", DEFAULT_TEMPERATURE),
    ("tournament", "max_pairs", 400.0),
    ("train", "data_epochs", 1.0),
    ("train", "ranks", 1.0),
    ("train", "batch", 8.0),
    ("train", "micro_batch", 4.0),
    ("train", "pack", 1.0),
    ("train", "warmup", 0.1),
    ("train", "floor", 0.1),
    ("train", "weight_decay", 0.0),
    ("train", "clip", 1.0),
    ("builtin", "demonstrations", 0.0),
    ("builtin", "shots", 0.0),
];

/// Points from a word that is not known here to the one that was probably meant, or lists all.
pub(super) fn suggest(word: &str, expected: &[&str], path: &Path) -> String {
    let near = expected
        .iter()
        .map(|known| (strsim::jaro_winkler(word, known), *known))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((_, known)) = near else { return format!("known here: {}", expected.join(", ")) };
    let topic = path.last_key().unwrap_or("recipe");
    match DEFAULTS.iter().find(|(of, field, _)| *of == topic && *field == known) {
        Some((_, _, default)) => format!("did you mean `{known}` (default {default})?"),
        None => format!("did you mean `{known}`?"),
    }
}

/// Serde's names of what it expected, in plain words.
pub(super) fn plain(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "text (put it in quotes)".to_owned(),
        "a sequence" => "a list".to_owned(),
        other => other.to_owned(),
    }
}
