//! Completions of token ids over the OpenAI wire: what is sent, and the strict reading of what comes back.
//!
//! Training needs the very tokens that were sampled, so an answer without token ids is an error: text that is tokenised again
//! may become other tokens.

use serde_json::{Value, json};

use super::super::{Batch, Completion, Request};

/// The body of `POST /v1/completions` for one request of `batch`, asking for token ids.
#[must_use]
pub fn body(model: &str, batch: &Batch, request: &Request) -> Value {
    let prompt = [batch.prefix.as_slice(), request.prompt.as_slice()].concat();
    json!({
        "model": model,
        "prompt": prompt,
        "n": request.samples,
        "max_tokens": batch.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        // Servers take signed seeds.
        "seed": request.seed.0 >> 1,
        "stop_token_ids": batch.stop,
        "logprobs": 0,
        "return_token_ids": true,
        "skip_special_tokens": false,
    })
}

/// The completions in `answer`, in order of their index.
///
/// # Errors
/// A sentence that says what is missing.
pub fn completions(answer: &Value, samples: u32, max_tokens: u32) -> Result<Vec<Completion>, String> {
    let choices = answer.get("choices").and_then(Value::as_array).ok_or("it holds no `choices`")?;
    if choices.len() != samples as usize {
        return Err(format!("it holds {} choices where {samples} were asked for", choices.len()));
    }
    let mut found: Vec<Option<Completion>> = vec![None; choices.len()];
    for choice in choices {
        let index = choice.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let place = index.and_then(|index| found.get_mut(index)).ok_or("a choice has no index in range")?;
        if place.replace(completion(choice, max_tokens)?).is_some() {
            return Err("two choices have the same index".to_owned());
        }
    }
    Ok(found.into_iter().flatten().collect())
}

fn completion(choice: &Value, max_tokens: u32) -> Result<Completion, String> {
    let tokens = choice.get("token_ids").and_then(Value::as_array).ok_or(
        "it holds no `token_ids`: rollouts need the sampled tokens themselves (vLLM from 0.10.2 sends them, as does galapagos serve)",
    )?;
    let token = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let tokens: Vec<u32> = tokens.iter().map(token).collect::<Option<_>>().ok_or("`token_ids` are no token ids")?;
    let listed = choice.pointer("/logprobs/token_logprobs").and_then(Value::as_array);
    let listed =
        listed.ok_or("it holds no `logprobs.token_logprobs`; start the server with log-probabilities allowed")?;
    let number = |value: &Value| value.as_f64().map(|log_prob| log_prob as f32);
    let log_probs: Vec<f32> =
        listed.iter().map(number).collect::<Option<_>>().ok_or("a log-probability is no number")?;
    if tokens.len() != log_probs.len() {
        return Err(format!("it lists {} tokens but {} log-probabilities", tokens.len(), log_probs.len()));
    }
    if tokens.is_empty() || tokens.len() > max_tokens as usize {
        return Err(format!("a completion has {} tokens where 1 to {max_tokens} were asked for", tokens.len()));
    }
    match choice.get("finish_reason").and_then(Value::as_str) {
        Some("stop" | "length") => Ok(Completion { tokens, log_probs }),
        other => Err(format!("a completion ended with {other:?}: it was cut by the server, not by a stop rule")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(index: u64, tokens: &[u32]) -> Value {
        let log_probs = vec![-0.5; tokens.len()];
        json!({"index": index, "token_ids": tokens, "logprobs": {"token_logprobs": log_probs}, "finish_reason": "stop"})
    }

    #[test]
    fn choices_are_put_in_order() {
        let answer = json!({"choices": [choice(1, &[7]), choice(0, &[5, 6])]});
        let made = completions(&answer, 2, 4).unwrap();
        assert_eq!(made[0].tokens, [5, 6]);
        assert_eq!(made[1].log_probs, [-0.5]);
    }

    #[test]
    fn an_answer_that_lacks_something_is_refused_with_what() {
        let with = |field: &str, value: Value| {
            let mut choice = choice(0, &[5]);
            choice[field] = value;
            completions(&json!({"choices": [choice]}), 1, 4).unwrap_err()
        };
        assert!(with("token_ids", Value::Null).contains("token_ids"));
        assert!(with("token_ids", json!([5, 6])).contains("2 tokens but 1"));
        assert!(with("logprobs", Value::Null).contains("token_logprobs"));
        assert!(with("logprobs", json!({"token_logprobs": [null]})).contains("no number"));
        assert!(with("finish_reason", json!("abort")).contains("abort"));
        assert!(completions(&json!({"choices": []}), 1, 4).unwrap_err().contains("0 choices"));
        assert!(
            completions(&json!({"choices": [choice(0, &[1]), choice(0, &[2])]}), 2, 4)
                .unwrap_err()
                .contains("same index")
        );
        assert!(completions(&json!({"choices": [choice(0, &[1, 2, 3])]}), 1, 2).unwrap_err().contains("3 tokens"));
    }
}
