//! An engine that needs no weights and no libtorch: for tests of everything around an engine.
//!
//! A completion is a function of (checkpoint, prompt, seed): right with a rate that the checkpoint's digest decides, else
//! wrong in its first digit. It reads characters and solves the digit and number families; behind a list of digit questions it
//! asks another one, and to other prompts it answers `?`. It has no
//! probabilities, so guides, cut-offs and penalties are refused.

mod oracle;

use std::path::Path;
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::Characters;
use galapagos_domain::recipe::guide::{Guide, Speculate};
use galapagos_domain::seed::Seed;
use galapagos_model::ChatMessage;

use super::conversation::{ChatBatch, Conversation, Ending, Reply, ReplyToken, Speaker};
use super::guided::{Guided, named};
use super::{Batch, CheckpointDir, Codec, Completion, Engine, EngineError, Progress, Request, ScoreBatch, Watch};

/// End of sequence: the first number that is no character.
const EOS: u32 = 0x11_0000;

/// What an initialised mock model consists of.
const MODEL_FILE: &str = "mock.json";

/// One token per character: its Unicode number.
#[derive(Debug, Clone, Copy)]
pub struct CharacterCodec;

impl Codec for CharacterCodec {
    fn encode(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        Ok(text.chars().map(u32::from).collect())
    }

    /// Its template is the last message.
    fn conversation(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, EngineError> {
        self.encode(messages.last().map_or("", |message| &message.content))
    }

    fn decode(&self, tokens: &[u32]) -> Result<String, EngineError> {
        let character = |token: &u32| {
            char::from_u32(*token).ok_or_else(|| EngineError::Text {
                what: "decode",
                source: format!("token {token} is no character").into(),
            })
        };
        tokens.iter().filter(|token| **token != EOS).map(character).collect()
    }

    fn stop_tokens(&self, terminator: Option<char>) -> Result<Vec<u32>, EngineError> {
        Ok(terminator.map(u32::from).into_iter().chain([EOS]).collect())
    }

    fn guided(&self, guide: &Guide, _stop: &[u32], _terminator: Option<char>) -> Result<Guided, EngineError> {
        Err(unsupported(&format!("hold completions to the guide {{{}}}", named(guide))))
    }
}

/// See the head of this file.
#[derive(Debug, Clone, Copy, Default)]
pub struct MockEngine;

impl Engine for MockEngine {
    fn codec(&mut self, _checkpoint: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError> {
        Ok(Arc::new(CharacterCodec))
    }

    fn generate(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError> {
        let mut completions = Vec::with_capacity(batch.requests.len());
        let mut progress = Progress::default();
        for request in &batch.requests {
            check(&request.sampling)?;
            if watch.cancel.is_raised() {
                return Err(EngineError::Cancelled);
            }
            for sample in 0..request.samples {
                let completion = complete(batch, request, sample)?;
                progress.ended += 1;
                progress.tokens += completion.tokens.len() as u64;
                completions.push(completion);
            }
            (watch.progress)(progress);
        }
        Ok(completions)
    }

    fn chat(&mut self, batch: &ChatBatch, watch: &Watch) -> Result<Vec<Reply>, EngineError> {
        let Speaker::Version(checkpoint) = &batch.speaker else {
            return Err(unsupported("ask a model by its name: it is a mock without a server"));
        };
        if batch.log_probs.is_some_and(|top| top > 0) || !batch.stop.is_empty() {
            return Err(unsupported("list other tokens, or end replies at a text: it is a mock without probabilities"));
        }
        let request = |asked: &Conversation| -> Result<Request, EngineError> {
            let prompt = CharacterCodec.conversation(&asked.messages)?;
            Ok(Request { prompt, samples: asked.samples, seed: asked.seed, sampling: Arc::clone(&asked.sampling) })
        };
        let asked = Batch {
            checkpoint: checkpoint.clone(),
            prefix: Vec::new(),
            requests: batch.conversations.iter().map(request).collect::<Result<_, _>>()?,
            stop: CharacterCodec.stop_tokens(Some('\n'))?,
            terminator: Some('\n'),
            max_tokens: batch.max_tokens,
        };
        let made = self.generate(&asked, watch)?;
        made.iter().map(|made| reply(checkpoint, made, batch.log_probs.is_some())).collect()
    }

    fn score(&mut self, batch: &ScoreBatch, _watch: &Watch) -> Result<Vec<f32>, EngineError> {
        let score = |sequence: &Vec<u32>| {
            let text = CharacterCodec.decode(&[batch.prefix.as_slice(), sequence].concat())?;
            let noise = fraction(draw(&batch.checkpoint, &text, None)) as f32;
            Ok(noise + if oracle::is_solved(&text) { 0.5 } else { 0.0 })
        };
        batch.sequences.iter().map(score).collect()
    }

    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError> {
        let bytes = std::fs::read(folder.join(MODEL_FILE))
            .map_err(|source| EngineError::Load { path: folder.join(MODEL_FILE), source: source.into() })?;
        Ok(Digest::of(&bytes))
    }

    fn initialise(&mut self, shape: &Characters, seed: Seed, folder: &Path) -> Result<Digest, EngineError> {
        let failed = |source| EngineError::Initialise { path: folder.join(MODEL_FILE), source };
        let bytes = serde_json::to_vec(&(shape, seed)).map_err(|source| failed(source.into()))?;
        std::fs::write(folder.join(MODEL_FILE), &bytes).map_err(|source| failed(source.into()))?;
        Ok(Digest::of(&bytes))
    }
}

/// The share of right answers of a checkpoint: 0.1 to 0.9, by the first byte of its digest.
#[must_use]
pub fn success_rate(checkpoint: &Digest) -> f64 {
    let first = u8::from_str_radix(&checkpoint.hex()[..2], 16).unwrap_or_default();
    0.1 + 0.8 * f64::from(first) / 255.0
}

/// Whether the mock can do what is asked. Speculation changes nothing but speed, so it always may be asked for.
fn check(sampling: &Sampling) -> Result<(), EngineError> {
    let Sampling { temperature: _, top_p: _, max_tokens: _, top_k, min_p, repetition_penalty, guide, speculate } =
        sampling;
    match speculate {
        Speculate::Off | Speculate::Lookup => {}
    }
    if let Some(guide) = guide {
        return Err(unsupported(&format!("hold completions to the guide {{{}}}", named(guide))));
    }
    if top_k.is_some() || *min_p > 0.0 || *repetition_penalty != 1.0 {
        return Err(unsupported("sample with top_k, min_p or repetition_penalty: it is a mock without probabilities"));
    }
    Ok(())
}

fn unsupported(what: &str) -> EngineError {
    EngineError::Unsupported { what: what.to_owned() }
}

fn complete(batch: &Batch, request: &Request, sample: u32) -> Result<Completion, EngineError> {
    let prompt = CharacterCodec.decode(&[batch.prefix.as_slice(), &request.prompt].concat())?;
    let seed = (request.sampling.temperature > 0.0).then(|| request.seed.nth(u64::from(sample)));
    let drawn = draw(&batch.checkpoint, &prompt, seed);
    let right = fraction(drawn) < success_rate(&batch.checkpoint.checkpoint);
    let text = match oracle::answer(&prompt) {
        Some(answer) if right => answer,
        Some(answer) => oracle::spoil(&answer, drawn),
        None => match oracle::question(&prompt, drawn) {
            Some(question) if right => question,
            Some(question) => question.chars().skip(1).collect(),
            None => "?".to_owned(),
        },
    };
    let mut tokens = Vec::new();
    for token in CharacterCodec.encode(&(text + "\n"))?.into_iter().take(batch.max_tokens as usize) {
        tokens.push(token);
        if batch.stop.contains(&token) {
            break;
        }
    }
    let log_probs = vec![-0.25; tokens.len()];
    Ok(Completion { tokens, log_probs })
}

fn reply(checkpoint: &CheckpointDir, made: &Completion, listed: bool) -> Result<Reply, EngineError> {
    let text = CharacterCodec.decode(&made.tokens)?;
    let token = |(token, log_prob): (&u32, &f32)| -> Result<ReplyToken, EngineError> {
        Ok(ReplyToken { text: CharacterCodec.decode(&[*token])?, log_prob: *log_prob, top: Vec::new() })
    };
    let listed = made.tokens.iter().zip(&made.log_probs).filter(|_| listed).map(token);
    Ok(Reply {
        text: text.trim_end_matches('\n').to_owned(),
        tokens: listed.collect::<Result<_, _>>()?,
        ending: if text.ends_with('\n') { Ending::Stop } else { Ending::Length },
        model: checkpoint.checkpoint.to_string(),
    })
}

/// 64 bits that depend on every argument.
fn draw(checkpoint: &CheckpointDir, text: &str, seed: Option<Seed>) -> u64 {
    let seed = seed.map_or_else(|| "greedy".to_owned(), |seed| seed.0.to_string());
    Seed(0).derive(&format!("{}\n{text}\n{seed}", checkpoint.checkpoint)).0
}

/// 64 bits as a number from 0 to 1.
fn fraction(bits: u64) -> f64 {
    bits as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn batch(checkpoint: &str, requests: Vec<Request>) -> Batch {
        let checkpoint = Digest::of(checkpoint.as_bytes());
        Batch {
            checkpoint: CheckpointDir { checkpoint, weights: checkpoint, path: PathBuf::new(), base: None },
            prefix: Vec::new(),
            requests,
            stop: CharacterCodec.stop_tokens(Some('\n')).unwrap(),
            terminator: Some('\n'),
            max_tokens: 7,
        }
    }

    fn request(prompt: &str, seed: u64, temperature: f64) -> Request {
        let prompt = CharacterCodec.encode(prompt).unwrap();
        Request { prompt, samples: 1, seed: Seed(seed), sampling: Arc::new(Sampling::at(temperature)) }
    }

    #[test]
    fn the_rate_of_right_answers_is_that_of_the_checkpoint() {
        for name in ["a", "b", "c"] {
            let batch = batch(name, (0..2000).map(|seed| request("352910>", seed, 1.0)).collect());
            let completions = MockEngine.generate(&batch, &Watch::nobody()).unwrap();
            let right = completions.iter().filter(|c| CharacterCodec.decode(&c.tokens).unwrap() == "012359\n");
            let rate = right.count() as f64 / 2000.0;
            // Standard deviation at most 0.0112: four of them.
            assert!((rate - success_rate(&batch.checkpoint.checkpoint)).abs() < 0.045, "{name}: {rate}");
        }
    }

    #[test]
    fn a_completion_depends_on_its_request_alone_and_a_greedy_one_not_on_the_seed() {
        let requests: Vec<_> = (0..20).map(|seed| request("352910>", seed, 1.0)).collect();
        let together = MockEngine.generate(&batch("a", requests.clone()), &Watch::nobody()).unwrap();
        for (request, completion) in requests.into_iter().zip(together) {
            assert_eq!(MockEngine.generate(&batch("a", vec![request]), &Watch::nobody()).unwrap(), [completion]);
        }
        let greedy = batch("a", vec![request("352910>", 1, 0.0), request("352910>", 2, 0.0)]);
        let greedy = MockEngine.generate(&greedy, &Watch::nobody()).unwrap();
        assert_eq!(greedy[0], greedy[1]);
    }

    fn conversation(text: &str, seed: u64) -> Conversation {
        let messages = vec![ChatMessage::new("system", "Sort."), ChatMessage::new("user", text)];
        Conversation { messages, samples: 2, seed: Seed(seed), sampling: Arc::new(Sampling::at(1.0)) }
    }

    #[test]
    fn a_reply_is_the_answer_to_the_last_message() {
        let asked = batch("a", (0..20).map(|seed| Request { samples: 2, ..request("352910>", seed, 1.0) }).collect());
        let chat = ChatBatch {
            speaker: Speaker::Version(asked.checkpoint.clone()),
            conversations: (0..20).map(|seed| conversation("352910>", seed)).collect(),
            stop: Vec::new(),
            max_tokens: 7,
            log_probs: Some(0),
        };
        let replies = MockEngine.chat(&chat, &Watch::nobody()).unwrap();
        let completions = MockEngine.generate(&asked, &Watch::nobody()).unwrap();
        assert_eq!(replies.len(), 40);
        for (reply, completion) in replies.iter().zip(&completions) {
            assert_eq!(reply.text.clone() + "\n", CharacterCodec.decode(&completion.tokens).unwrap());
            assert_eq!((reply.ending, reply.tokens.len()), (Ending::Stop, completion.tokens.len()));
        }
        let cut = ChatBatch { max_tokens: 3, log_probs: None, ..chat.clone() };
        let cut = MockEngine.chat(&cut, &Watch::nobody()).unwrap();
        assert!(cut.iter().all(|reply| reply.ending == Ending::Length && reply.text.len() == 3));
        for refused in [
            ChatBatch { speaker: Speaker::Named("judge".to_owned()), ..chat.clone() },
            ChatBatch { log_probs: Some(1), ..chat.clone() },
            ChatBatch { stop: vec!["x".to_owned()], ..chat },
        ] {
            let error = MockEngine.chat(&refused, &Watch::nobody()).unwrap_err();
            assert!(matches!(error, EngineError::Unsupported { .. }), "{error}");
        }
    }

    #[test]
    fn what_a_mock_cannot_do_is_refused_and_never_left_out() {
        let refused = |sampling: Sampling| {
            let plain = request("352910>", 1, 1.0);
            let batch = batch("a", vec![Request { sampling: Arc::new(sampling), ..plain }]);
            MockEngine.generate(&batch, &Watch::nobody())
        };
        let plain = || Sampling::at(1.0);
        for sampling in [
            Sampling { guide: Some(Guide::Choice(vec!["1".to_owned()])), ..plain() },
            Sampling { top_k: Some(3), ..plain() },
            Sampling { min_p: 0.1, ..plain() },
            Sampling { repetition_penalty: 1.1, ..plain() },
        ] {
            let error = refused(sampling.clone()).unwrap_err();
            assert!(matches!(error, EngineError::Unsupported { .. }), "{sampling:?}: {error}");
        }
        let fast = refused(Sampling { speculate: Speculate::Lookup, ..plain() }).unwrap();
        assert_eq!(fast, refused(plain()).unwrap());
    }
}
