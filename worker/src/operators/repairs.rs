//! `repairs`: of failed records ones that ask for them to be mended, for a role that repairs programs (CodeRL; paper notes, section 7).

use galapagos_domain::recipe::curate::Repairs;
use galapagos_domain::recipe::verify::{Blank, Template};
use galapagos_domain::trajectory::{Credit, Outcome, Trajectory};
use galapagos_model::ChatMessage;

use super::error::OperatorError;
use super::splice::read;
use super::stage::Group;
use crate::engine::Codec;

const WORD: &str = "repairs";

pub(super) fn of_failed<'a>(repairs: &'a Repairs, codec: &'a dyn Codec) -> Result<Group<'a>, OperatorError> {
    let template =
        Template::parse(&repairs.ask).map_err(|source| OperatorError::Template { operator: WORD, source })?;
    Ok(Box::new(move |rows| {
        let mut out = Vec::new();
        for (place, bad) in rows.iter().enumerate().filter(|(_, row)| row.verdict.outcome == Outcome::Fail) {
            let Some(good) = nearest(&rows, bad) else { continue };
            let question = read(codec, &bad.prompt_tokens[bad.prefix_len as usize..], WORD)?;
            let asked = template.filled(|blank| match blank {
                Blank::Prompt => question.clone(),
                Blank::Answer => bad.completion.clone(),
                Blank::Error => bad.verdict.reason.clone(),
                _ => String::new(),
            });
            let prompt = match repairs.chat {
                true => codec.conversation(&[ChatMessage::new("user", asked.as_str())]),
                false => codec.encode(&asked),
            };
            let record = Trajectory {
                prompt_tokens: prompt.map_err(|source| OperatorError::Text { operator: WORD, source })?,
                prefix_len: 0,
                policy: good.policy,
                completion_tokens: good.completion_tokens.clone(),
                completion: good.completion.clone(),
                verdict: good.verdict.clone(),
                // No policy sampled it behind this prompt.
                log_probs: Vec::new(),
                scores: Vec::new(),
                leaf: None,
                credit: Credit { weight: bad.credit.weight, ..Credit::default() },
                // Of the failed one's task, whoever answered it.
                ..bad.clone()
            };
            out.push((place, record));
        }
        Ok(out)
    }))
}

/// The passed record that is fewest characters apart from `bad`, the earliest of equals.
fn nearest<'a>(rows: &'a [Trajectory], bad: &Trajectory) -> Option<&'a Trajectory> {
    let passed = rows.iter().filter(|row| row.verdict.outcome == Outcome::Pass);
    passed.min_by_key(|row| strsim::levenshtein(&row.completion, &bad.completion))
}
