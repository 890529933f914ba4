//! From a request's fields to what the engine is asked: limits, sampling, stops and the form of the answer. Pure.

use galapagos_domain::image::Patch;
use galapagos_model::Sampling;
use galapagos_model::guide::GuideSpec;

use super::api::error::ApiError;
use super::api::request::{Common, OneOrMany, ResponseFormat, StructuredOutputs};
use super::line::Ask;

/// Completion tokens when a text completion does not say, as OpenAI has it.
const DEFAULT_TOKENS: usize = 16;

/// Choices of one request, at most.
const MOST_CHOICES: usize = 128;

/// Stop strings of one request, at most.
const MOST_STOPS: usize = 16;

/// What the served model can take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest sequence in tokens.
    pub positions: usize,
    /// Tokens the model has embeddings for.
    pub vocabulary: usize,
    /// Tokens that end an answer.
    pub ends: Vec<u32>,
    /// Seed of requests that bring none: each has its own, by its number.
    pub seed: u64,
}

/// One prompt and what stands beside [`Common`] in its request.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub prompt: Vec<u32>,
    /// `usize::MAX` stands for all there is room for; `None` for OpenAI's default.
    pub max_tokens: Option<usize>,
    /// Candidates listed beside each token.
    pub log_probs: Option<usize>,
    /// Number of the request at this server.
    pub number: u64,
}

/// What the engine is asked.
///
/// # Errors
/// [`ApiError`] with status 400 names the field, its value and what would be right.
pub fn plan(limits: &Limits, common: &Common, wanted: Wanted) -> Result<Ask, ApiError> {
    let Wanted { prompt, max_tokens, log_probs, number } = wanted;
    let samples = common.n.unwrap_or(1);
    if samples == 0 || samples > MOST_CHOICES {
        return Err(out_of_range("n", samples, format!("between 1 and {MOST_CHOICES}")));
    }
    let max_new_tokens = room(limits, &prompt, max_tokens)?;
    let stop_strings = common.stop.clone().map(OneOrMany::into_vec).unwrap_or_default();
    if stop_strings.len() > MOST_STOPS || stop_strings.iter().any(String::is_empty) {
        let expected = format!("at most {MOST_STOPS} strings, none of them empty");
        return Err(out_of_range("stop", stop_strings.len(), expected));
    }
    let mut stop_tokens = common.stop_token_ids.clone().unwrap_or_default();
    if !common.ignore_eos {
        stop_tokens.extend(&limits.ends);
    }
    Ok(Ask {
        prompt,
        samples,
        sampling: sampling(limits, common)?,
        max_new_tokens,
        stop_tokens,
        stop_strings,
        seed: common.seed.unwrap_or_else(|| limits.seed.wrapping_add(number)),
        guide: guide(common)?,
        top_log_probs: log_probs.unwrap_or(0),
        adapter: None,
        echo: false,
    })
}

fn room(limits: &Limits, prompt: &[u32], max_tokens: Option<usize>) -> Result<usize, ApiError> {
    if prompt.is_empty() {
        return Err(ApiError::invalid(Some("prompt"), "the prompt has no tokens; give at least one"));
    }
    if prompt.iter().any(|token| Patch::is_code(*token)) {
        return Err(ApiError::invalid(
            Some("prompt"),
            "the prompt holds an image; images are not served, only text is",
        ));
    }
    if let Some(token) = prompt.iter().find(|token| **token as usize >= limits.vocabulary) {
        let message = format!("token id {token} is outside the model's vocabulary of {}", limits.vocabulary);
        return Err(ApiError::invalid(Some("prompt"), message));
    }
    let left = limits.positions.saturating_sub(prompt.len());
    let wanted = match max_tokens {
        Some(usize::MAX) => left,
        other => other.unwrap_or(DEFAULT_TOKENS),
    };
    if wanted > left || left == 0 {
        return Err(ApiError::too_long(format!(
            "the model has {} positions; the prompt takes {} and `max_tokens` asks for {wanted} more",
            limits.positions,
            prompt.len()
        )));
    }
    match wanted {
        0 => Err(out_of_range("max_tokens", 0, "at least 1".to_owned())),
        wanted => Ok(wanted),
    }
}

fn sampling(limits: &Limits, common: &Common) -> Result<Sampling, ApiError> {
    let mut sampling = Sampling {
        temperature: common.temperature.unwrap_or(1.0),
        top_p: common.top_p.unwrap_or(1.0),
        // vLLM's clients send -1 or 0 for "no limit".
        top_k: common.top_k.filter(|k| *k > 0).and_then(|k| usize::try_from(k).ok()),
        min_p: common.min_p.unwrap_or(0.0),
        repetition_penalty: common.repetition_penalty.unwrap_or(1.0),
        presence_penalty: common.presence_penalty.unwrap_or(0.0),
        frequency_penalty: common.frequency_penalty.unwrap_or(0.0),
        ..Sampling::default()
    };
    for (token, bias) in common.logit_bias.iter().flatten() {
        let id = token.parse::<u32>().ok().filter(|id| (*id as usize) < limits.vocabulary);
        let Some(id) = id else {
            return Err(out_of_range("logit_bias", token, format!("token ids below {}", limits.vocabulary)));
        };
        sampling.logit_bias.insert(id, *bias as f32);
    }
    sampling.validate().map_err(|error| ApiError::invalid(Some(&error.field), error.to_string()))?;
    Ok(sampling)
}

fn guide(common: &Common) -> Result<Option<GuideSpec>, ApiError> {
    let mut asked = Vec::new();
    asked.extend(common.guided_regex.clone().map(GuideSpec::Regex));
    asked.extend(common.guided_json.as_ref().map(|value| schema("guided_json", value)).transpose()?);
    asked.extend(common.guided_choice.clone().map(GuideSpec::Choice));
    asked.extend(common.guided_grammar.clone().map(GuideSpec::Lark));
    if let Some(form) = &common.structured_outputs {
        asked.push(structured(form)?);
    }
    match &common.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => asked.push(any_object()),
        Some(ResponseFormat::JsonSchema { json_schema }) => {
            asked.push(GuideSpec::JsonSchema(json_schema.schema.clone()));
        }
    }
    match asked.len() {
        0 | 1 => Ok(asked.pop()),
        _ => Err(ApiError::invalid(
            Some("response_format"),
            "only one form of guided decoding can be asked for at a time",
        )),
    }
}

fn structured(form: &StructuredOutputs) -> Result<GuideSpec, ApiError> {
    let StructuredOutputs { regex, json, json_object, choice, grammar } = form;
    let mut asked = Vec::new();
    asked.extend(regex.clone().map(GuideSpec::Regex));
    asked.extend(json.as_ref().map(|value| schema("structured_outputs", value)).transpose()?);
    asked.extend(json_object.filter(|wanted| *wanted).map(|_| any_object()));
    asked.extend(choice.clone().map(GuideSpec::Choice));
    asked.extend(grammar.clone().map(GuideSpec::Lark));
    match (asked.pop(), asked.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => {
            let message = "`structured_outputs` must hold exactly one of regex, json, json_object, choice and grammar";
            Err(ApiError::invalid(Some("structured_outputs"), message))
        }
    }
}

fn any_object() -> GuideSpec {
    GuideSpec::JsonSchema(serde_json::json!({"type": "object"}))
}

/// vLLM's clients also send the schema as text.
fn schema(field: &str, value: &serde_json::Value) -> Result<GuideSpec, ApiError> {
    let schema = match value {
        serde_json::Value::String(text) => serde_json::from_str(text)
            .map_err(|error| ApiError::invalid(Some(field), format!("the schema in `{field}` is no JSON: {error}")))?,
        other => other.clone(),
    };
    Ok(GuideSpec::JsonSchema(schema))
}

fn out_of_range(field: &str, value: impl std::fmt::Display, expected: String) -> ApiError {
    ApiError::invalid(Some(field), format!("`{field}` is {value}; it must be {expected}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(structured_outputs: serde_json::Value) -> Result<Option<GuideSpec>, String> {
        let structured_outputs = serde_json::from_value(structured_outputs).map_err(|error| error.to_string())?;
        let common = Common { structured_outputs: Some(structured_outputs), ..Common::default() };
        guide(&common).map_err(|error| error.body().to_string())
    }

    #[test]
    fn structured_outputs_hold_exactly_one_form() {
        let object = json!({"type": "object"});
        let forms = [
            (json!({"regex": "a+"}), GuideSpec::Regex("a+".to_owned())),
            (json!({"choice": ["a", "b"]}), GuideSpec::Choice(vec!["a".to_owned(), "b".to_owned()])),
            (json!({"grammar": "start: \"a\""}), GuideSpec::Lark("start: \"a\"".to_owned())),
            (json!({"json": object}), GuideSpec::JsonSchema(object.clone())),
            (json!({"json": object.to_string()}), GuideSpec::JsonSchema(object.clone())),
            (json!({"json_object": true, "regex": null}), GuideSpec::JsonSchema(object)),
        ];
        for (sent, expected) in forms {
            assert_eq!(asked(sent.clone()), Ok(Some(expected)), "{sent}");
        }
        for sent in [json!({}), json!({"json_object": false}), json!({"regex": "a", "choice": ["a"]})] {
            assert!(asked(sent.clone()).unwrap_err().contains("exactly one"), "{sent}");
        }
        assert!(asked(json!({"json": "{"})).unwrap_err().contains("no JSON"));
        let both = Common {
            structured_outputs: Some(StructuredOutputs { regex: Some("a".to_owned()), ..StructuredOutputs::default() }),
            guided_regex: Some("a".to_owned()),
            ..Common::default()
        };
        assert!(guide(&both).is_err());
    }
}
