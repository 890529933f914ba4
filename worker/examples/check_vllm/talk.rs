//! Conversations with the server, and whether the replies are what the version says.

use std::path::Path;
use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::guide::Guide;
use galapagos_domain::seed::Seed;
use galapagos_model::ChatMessage;
use galapagos_worker::engine::conversation::{ChatBatch, Conversation, Reply, Speaker};
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{CheckpointDir, Engine, Watch};
use serde_json::Value;

use crate::{Verdict, chain};

/// Largest mean absolute difference, in nats, between the server's log-probabilities at a reply's beginning and ours.
const TOLERANCE: f64 = 0.15;

/// Most probable tokens that are compared at a place.
const TOP: u32 = 5;

/// Three questions, one greedy reply each.
pub fn questions(speaker: Speaker, guide: Option<Guide>) -> ChatBatch {
    let sampling = Arc::new(Sampling { guide, ..Sampling::at(0.0) });
    let conversation = |question: &&str| Conversation {
        messages: vec![ChatMessage::new("user", *question)],
        samples: 1,
        seed: Seed(1),
        sampling: Arc::clone(&sampling),
    };
    let questions = ["Is a finch a bird?", "Which is larger, 3 or 8?", "Name an island."];
    let conversations = questions.iter().map(conversation).collect();
    ChatBatch { speaker, conversations, stop: Vec::new(), max_tokens: 12, log_probs: Some(TOP) }
}

/// Whether the replies of the server begin with the candidates that the version has here, and hold together.
pub fn compare(local: &mut TchEngine, version: &CheckpointDir, there: &[Reply]) -> Verdict {
    let here = local.chat(&questions(Speaker::Version(version.clone()), None), &Watch::nobody());
    let here = here.map_err(|error| chain(&error))?;
    let (mut sum, mut compared) = (0.0, 0_u32);
    for (there, here) in there.iter().zip(&here) {
        let joined: String = there.tokens.iter().map(|token| token.text.as_str()).collect();
        if !joined.starts_with(&there.text) || there.text.is_empty() {
            return Err(format!("the tokens of {:?} spell {joined:?}", there.text));
        }
        let (Some(first), Some(ours)) = (there.tokens.first(), here.tokens.first()) else {
            return Err(format!("{:?} lists no tokens", there.text));
        };
        for (text, log_prob) in &first.top {
            if let Some((_, ours)) = ours.top.iter().find(|(known, _)| known == text) {
                sum += f64::from(log_prob - ours).abs();
                compared += 1;
            }
        }
    }
    let mean = sum / f64::from(compared);
    // Rounding may swap candidates at the border of the list.
    let enough = 3 * there.len() as u32;
    if compared < enough || mean.is_nan() || mean > TOLERANCE {
        return Err(format!(
            "{compared} candidates in common, {mean:.3} nats apart; {enough} within {TOLERANCE} are needed"
        ));
    }
    let said: Vec<&str> = there.iter().map(|reply| reply.text.as_str()).collect();
    Ok(format!("{compared} candidates in common, {mean:.4} nats apart on average; {said:?}"))
}

/// `model` as a checkpoint whose folder has another chat template.
pub fn with_another_template(model: &CheckpointDir, folder: &Path) -> Result<CheckpointDir, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    for entry in std::fs::read_dir(&model.path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let to = folder.join(entry.file_name());
        if entry.file_name() == "tokenizer_config.json" {
            let text = std::fs::read(entry.path()).map_err(failed)?;
            let mut config: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            config["chat_template"] = "{% for message in messages %}{{ message.content }}\n{% endfor %}".into();
            std::fs::write(&to, config.to_string()).map_err(failed)?;
        } else if !to.exists() {
            std::os::unix::fs::symlink(entry.path(), &to).map_err(failed)?;
        }
    }
    Ok(CheckpointDir { path: folder.to_owned(), ..model.clone() })
}
