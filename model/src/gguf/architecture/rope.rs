//! Scaling of the rotary frequencies: from GGUF's keys (linear, yarn) or its tensor of factors (Llama 3) to `rope_scaling`.
//!
//! Llama 3's scaling has four parameters in `config.json`, GGUF keeps only the factors that follow from them. They are found
//! again by trying the contexts such models are trained with, and accepted only if they give the stored factors back.

use serde_json::{Value, json};

use super::super::GgufError;
use super::super::error::{key as key_error, tensor as tensor_error};
use super::super::file::GgufFile;
use super::{Reader, Shape, required};

/// The tensor of factors, one for each pair of a head's values.
pub(super) const FACTORS: &str = "rope_freqs.weight";

const LOW_FREQUENCY_FACTOR: f64 = 1.0;
const HIGH_FREQUENCY_FACTOR: f64 = 4.0;
const LEAST_CONTEXT: usize = 512;
const CONTEXT_DOUBLINGS: usize = 10;
/// Factors are stored as f32.
const TOLERANCE: f64 = 1e-5;

/// The factors in the file, if it has any.
pub(super) fn frequency_factors(file: &GgufFile) -> Result<Option<Vec<f32>>, GgufError> {
    let Some(tensor) = file.tensors.iter().find(|tensor| tensor.name == FACTORS) else { return Ok(None) };
    let mut factors = Vec::new();
    file.read_rows(tensor, (0, tensor.rows()), &mut factors)?;
    Ok(Some(factors))
}

/// `rope_scaling` of `config.json`, or nothing for unscaled frequencies.
pub(super) fn scaling(
    reader: &Reader<'_>,
    shape: &Shape,
    factors: Option<Vec<f32>>,
) -> Result<Option<Value>, GgufError> {
    let type_key = reader.key("rope.scaling.type");
    let kind = reader.metadata.text(&type_key)?.map(String::as_str);
    if let Some(factors) = factors {
        return match kind {
            None | Some("none") => llama3(shape, &factors).map(Some),
            Some(kind) => Err(tensor_error(FACTORS, format!("stands beside rope scaling \"{kind}\"; only one can be"))),
        };
    }
    let only_one = ["rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_ext_factor"];
    for key in only_one {
        if let Some(value) = reader.number(key)?.filter(|value| *value != 1.0) {
            return Err(key_error(&reader.key(key), format!("is {value}; only 1 can be expressed in config.json")));
        }
    }
    let factor = match reader.number("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => reader.number("rope.scale_linear")?,
    };
    let factor_key = reader.key("rope.scaling.factor");
    match kind {
        None | Some("none") => match factor {
            None | Some(1.0) => Ok(None),
            // Files older than the key of the type have linear scaling.
            Some(factor) => Ok(Some(json!({"rope_type": "linear", "factor": factor}))),
        },
        Some("linear") => Ok(Some(json!({"rope_type": "linear", "factor": required(factor, &factor_key)?}))),
        Some("yarn") => yarn(reader, required(factor, &factor_key)?).map(Some),
        Some(other) => Err(key_error(&type_key, format!("is \"{other}\"; supported are none, linear and yarn"))),
    }
}

fn yarn(reader: &Reader<'_>, factor: f64) -> Result<Value, GgufError> {
    let original = reader.positive("rope.scaling.original_context_length")?;
    let mut value = json!({"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original});
    for (name, keys) in [
        ("beta_fast", ["rope.scaling.beta_fast", "rope.scaling.yarn_beta_fast"]),
        ("beta_slow", ["rope.scaling.beta_slow", "rope.scaling.yarn_beta_slow"]),
    ] {
        for key in keys {
            if let Some(found) = reader.number(key)? {
                value[name] = found.into();
            }
        }
    }
    Ok(value)
}

fn llama3(shape: &Shape, stored: &[f32]) -> Result<Value, GgufError> {
    if stored.len() * 2 != shape.head_dim {
        let problem = format!("has {} factors; a head of width {} needs half as many", stored.len(), shape.head_dim);
        return Err(tensor_error(FACTORS, problem));
    }
    // Low frequencies are divided by the whole factor, and no frequency by more.
    let factor = stored.iter().copied().fold(1.0, f32::max).to_string().parse::<f64>().unwrap_or(1.0);
    let contexts = (0..CONTEXT_DOUBLINGS).map(|doubling| LEAST_CONTEXT << doubling);
    let error = |context: usize| {
        let differences = stored.iter().enumerate().map(|(pair, stored)| {
            let expected = llama3_factor(shape, pair, factor, context);
            (f64::from(*stored) - expected).abs() / expected
        });
        differences.fold(0.0, f64::max)
    };
    match contexts.min_by(|a, b| error(*a).total_cmp(&error(*b))) {
        Some(context) if error(context) <= TOLERANCE => Ok(json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": LOW_FREQUENCY_FACTOR,
            "high_freq_factor": HIGH_FREQUENCY_FACTOR,
            "original_max_position_embeddings": context,
        })),
        _ => Err(tensor_error(
            FACTORS,
            "does not follow from Llama 3's rule with low factor 1, high factor 4 and a context that is a power of two; \
             config.json cannot express other factors",
        )),
    }
}

/// What Llama 3 divides the frequency of a pair by: 1 for wavelengths well inside the original context, `factor` for those
/// beyond it, between them a blend of the two frequencies.
fn llama3_factor(shape: &Shape, pair: usize, factor: f64, context: usize) -> f64 {
    let exponent = 2.0 * pair as f64 / shape.head_dim as f64;
    let wavelength = std::f64::consts::TAU * shape.rope_base.powf(exponent);
    let turns = context as f64 / wavelength;
    let smooth = (turns - LOW_FREQUENCY_FACTOR) / (HIGH_FREQUENCY_FACTOR - LOW_FREQUENCY_FACTOR);
    let smooth = smooth.clamp(0.0, 1.0);
    1.0 / ((1.0 - smooth) / factor + smooth)
}
