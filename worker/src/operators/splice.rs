//! `splice`: a failed record up to its first error, a text that says so, and a passed record of the same task from where the two part
//! (Agent-R; paper notes, section 6). Tokens are joined as they are; only the text between is written anew.

use galapagos_domain::recipe::curate::{FirstError, Splice};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Credit, Outcome, Span, Trajectory};

use rand::seq::IndexedRandom;

use super::error::OperatorError;
use super::stage::Group;
use crate::engine::Codec;

/// Gives one record for each failed one with an error that a passed record of its task shows a way around; no other.
pub(super) fn at_first_error<'a>(
    splice: &'a Splice,
    codec: &'a dyn Codec,
    seed: Seed,
) -> Result<Group<'a>, OperatorError> {
    let text = &splice.revision;
    let revision = Said { text: text.clone(), tokens: written(codec, text, "splice")? };
    let text = splice.per_step.clone().unwrap_or_default();
    let again = Said { tokens: written(codec, &text, "splice")?, text };
    Ok(Box::new(move |rows| {
        let mut out = Vec::new();
        for (place, bad) in rows.iter().enumerate().filter(|(_, row)| row.verdict.outcome == Outcome::Fail) {
            let Some((good, parting)) = nearest(&rows, bad) else { continue };
            let Some(end) = first_error(bad, parting, splice.first_error, seed) else { continue };
            let end = if splice.shown { behind_shown(bad, end) } else { end };
            let end = if end == bad.completion_tokens.len() { unstopped(codec, bad)? } else { end };
            let said = revision.behind(&again, wrong_steps(bad, parting, end).saturating_sub(1));
            out.push((place, join(&Joint { bad, end, good, parting }, splice, &said, codec)?));
        }
        Ok(out)
    }))
}

/// A text with its tokens.
struct Said {
    text: String,
    tokens: Vec<u32>,
}

impl Said {
    /// This, and so many times the other.
    fn behind(&self, other: &Self, times: usize) -> Self {
        let text = format!("{}{}", self.text, other.text.repeat(times));
        Self { text, tokens: [self.tokens.as_slice(), &other.tokens.repeat(times)].concat() }
    }
}

/// Steps of the policy between the parting and the end of what is kept, which may lack what ended the last one.
fn wrong_steps(bad: &Trajectory, parting: usize, end: usize) -> usize {
    let own = |span: &&Span| span.learn && span.end as usize > parting && (span.start as usize) < end;
    bad.credit.spans.iter().filter(own).count()
}

pub(super) fn written(codec: &dyn Codec, text: &str, operator: &'static str) -> Result<Vec<u32>, OperatorError> {
    codec.encode(text).map_err(|source| OperatorError::Text { operator, source })
}

pub(super) fn read(codec: &dyn Codec, tokens: &[u32], operator: &'static str) -> Result<String, OperatorError> {
    codec.decode(tokens).map_err(|source| OperatorError::Text { operator, source })
}

/// The passed record that has most in common with `bad`, the earliest of equals, and how many tokens of it, in whole steps.
fn nearest<'a>(rows: &'a [Trajectory], bad: &Trajectory) -> Option<(&'a Trajectory, usize)> {
    let mut best: Option<(&Trajectory, usize)> = None;
    for good in rows.iter().filter(|row| row.verdict.outcome == Outcome::Pass) {
        let tokens = good.completion_tokens.iter().zip(&bad.completion_tokens);
        let common = tokens.take_while(|(a, b)| a == b).count();
        let ends = good.credit.spans.iter().map(|span| span.end as usize);
        let shared = |end: &usize| *end <= common && bad.credit.spans.iter().any(|span| span.end as usize == *end);
        let parting = ends.filter(shared).max().unwrap_or(0);
        if parting < good.completion_tokens.len() && best.is_none_or(|(_, most)| parting > most) {
            best = Some((good, parting));
        }
    }
    best
}

/// Where the first error behind the parting ends.
fn first_error(bad: &Trajectory, parting: usize, by: FirstError, seed: Seed) -> Option<usize> {
    let behind = || bad.credit.spans.iter().filter(|span| span.end as usize > parting);
    let valued = || behind().filter_map(|span| Some((span, f64::from(span.value?))));
    let worst = match by {
        FirstError::LowestQ => valued().reduce(|worst, next| if next.1 < worst.1 { next } else { worst }),
        FirstError::Below(bound) => valued().find(|(_, value)| *value < bound),
        FirstError::Verdict => return Some(bad.completion_tokens.len()).filter(|end| *end > parting),
        FirstError::Judged => return behind().find(|span| span.class == Some(0)).map(|span| span.end as usize),
        FirstError::Random => {
            let steps: Vec<usize> = behind().filter(|span| span.learn).map(|span| span.end as usize).collect();
            let of = seed.derive(&format!("{}/{}/{}", bad.task_set, bad.task, bad.sample));
            return steps.choose(&mut of.stream()).copied();
        }
    };
    worst.map(|(span, _)| span.end as usize)
}

/// Where what was shown behind the part that ends at `end` ends.
fn behind_shown(bad: &Trajectory, end: usize) -> usize {
    let shown = |end: &usize| {
        let next =
            bad.credit.spans.iter().find(|span| span.start as usize == *end && !span.learn && span.end > span.start);
        next.map(|span| span.end as usize)
    };
    std::iter::successors(Some(end), shown).last().unwrap_or(end)
}

/// How many tokens of a record make up its completion without what ended it.
fn unstopped(codec: &dyn Codec, record: &Trajectory) -> Result<usize, OperatorError> {
    let tokens = &record.completion_tokens;
    let shorter = tokens.len().saturating_sub(1);
    let same = read(codec, &tokens[..shorter], "splice")? == record.completion;
    Ok(if same { shorter } else { tokens.len() })
}

struct Joint<'a> {
    bad: &'a Trajectory,
    end: usize,
    good: &'a Trajectory,
    parting: usize,
}

fn join(joint: &Joint<'_>, splice: &Splice, said: &Said, codec: &dyn Codec) -> Result<Trajectory, OperatorError> {
    let Joint { bad, end, good, parting } = *joint;
    let tail = &good.completion_tokens[parting..];
    let tokens = [&bad.completion_tokens[..end], &said.tokens, tail].concat();
    let part = |start: usize, end: usize, learn| Span {
        start: start as u32,
        end: end as u32,
        learn,
        value: None,
        class: None,
    };
    let mut spans: Vec<Span> = bad.credit.spans.iter().copied().filter(|span| span.end as usize <= end).collect();
    if spans.is_empty() && end > 0 {
        spans.push(part(0, end, true));
    }
    spans.iter_mut().for_each(|span| span.learn &= !splice.mask_bad);
    let back = end + said.tokens.len();
    if !said.tokens.is_empty() {
        spans.push(part(end, back, true));
    }
    let later = good.credit.spans.iter().filter(|span| span.start as usize >= parting);
    let moved = |at: u32| (at as usize - parting + back) as u32;
    let later: Vec<Span> = later.map(|span| Span { start: moved(span.start), end: moved(span.end), ..*span }).collect();
    if later.is_empty() {
        spans.push(part(back, tokens.len(), true));
    }
    spans.extend(later);
    // What ended the good record is no part of its text.
    let stop = unstopped(codec, good)?.max(parting);
    let completion = [
        read(codec, &bad.completion_tokens[..end], "splice")?,
        said.text.clone(),
        read(codec, &good.completion_tokens[parting..stop], "splice")?,
    ]
    .concat();
    Ok(Trajectory {
        completion_tokens: tokens,
        // No policy sampled the whole.
        log_probs: Vec::new(),
        completion,
        verdict: good.verdict.clone(),
        scores: Vec::new(),
        leaf: None,
        credit: Credit { spans, ..Credit::default() },
        ..bad.clone()
    })
}
