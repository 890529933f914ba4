//! What judges are shown and what their words mean: answers between fences that they cannot close, probabilities and written verdicts
//! as scores. Pure; asks nobody.
//!
//! A judge sees the task and answers, and nothing of who wrote them. What it did not answer is an error, never a fail.

pub mod calibration;
pub mod pairs;

use std::collections::BTreeMap;

use galapagos_domain::recipe::verify::{Blank, Template, TemplateError};

/// Texts around what a policy wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    open: String,
    close: String,
}

/// A text that holds a fence, and so could pretend to stand outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer holds the judge's fence, as if to speak to it")]
pub struct Breach;

impl Fence {
    /// A fence of an opening and a closing text.
    #[must_use]
    pub fn new([open, close]: &[String; 2]) -> Self {
        Self { open: open.clone(), close: close.clone() }
    }

    /// `text` between the fences.
    ///
    /// # Errors
    /// [`Breach`] if it holds one of them, be it in other case, width or spacing.
    pub fn around(&self, text: &str) -> Result<String, Breach> {
        let squeezed = squeeze(text);
        if [&self.open, &self.close].into_iter().any(|side| squeezed.contains(&squeeze(side))) {
            return Err(Breach);
        }
        Ok(format!("{}{text}{}", self.open, self.close))
    }
}

/// Lower case, of usual width, without anything that does not show.
fn squeeze(text: &str) -> String {
    let usual = |c: char| match u32::from(c) {
        wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0).unwrap_or(c),
        _ => c,
    };
    let shows = |c: &char| {
        let hidden = matches!(u32::from(*c), 0xAD | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2064 | 0xFE00..=0xFE0F | 0xFEFF);
        !hidden && !c.is_whitespace() && !c.is_control()
    };
    text.chars().filter(shows).map(usual).flat_map(char::to_lowercase).collect()
}

/// What goes into a template's places.
pub type Shown<'a> = BTreeMap<Blank, &'a str>;

/// A template with the fence for what policies wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    template: Template,
    fence: Fence,
}

impl Form {
    /// Reads the template.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn new(template: &str, fence: &[String; 2]) -> Result<Self, TemplateError> {
        Ok(Self { template: Template::parse(template)?, fence: Fence::new(fence) })
    }

    /// The text for the judge. Places of which nothing is shown are empty.
    ///
    /// # Errors
    /// [`Breach`] of what a policy wrote.
    pub fn filled(&self, shown: &Shown<'_>) -> Result<String, Breach> {
        let mut breach = None;
        let text = self.template.filled(|blank| {
            let text = shown.get(&blank).copied().unwrap_or_default().trim();
            if !blank.is_written() {
                return text.to_owned();
            }
            self.fence.around(text).unwrap_or_else(|found| {
                breach = Some(found);
                String::new()
            })
        });
        breach.map_or(Ok(text), Err)
    }
}

/// What two probabilities say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighed {
    /// Of the first word as a part of both.
    pub score: f64,
    /// Probability of both together.
    pub mass: f64,
}

/// Why probabilities are no answer.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Unsaid {
    #[error("the judge did not answer: both words together have a probability of {mass:.4}, the floor is {floor}")]
    Floor { mass: f64, floor: f64 },
    #[error("the judge's log-probabilities are {0} and {1}")]
    Numbers(f32, f32),
    #[error("the judge gave {0} numbers for two words")]
    Count(usize),
}

/// Reads the natural log-probabilities of the two words.
///
/// # Errors
/// [`Unsaid`] if the judge would rather say something else.
pub fn weigh(log_probs: &[f32], floor: f64) -> Result<Weighed, Unsaid> {
    let [one, other] = *log_probs else { return Err(Unsaid::Count(log_probs.len())) };
    let (p, q) = (f64::from(one).exp(), f64::from(other).exp());
    let (score, mass) = (1.0 / (1.0 + (f64::from(other) - f64::from(one)).exp()), p + q);
    if !score.is_finite() || !mass.is_finite() {
        return Err(Unsaid::Numbers(one, other));
    }
    if mass < floor { Err(Unsaid::Floor { mass, floor }) } else { Ok(Weighed { score, mass: mass.min(1.0) }) }
}

/// The score of a written judgement: of its last line `verdict: pass` or `verdict: fail` 1 or 0; with a scale, of its last line
/// `score: N` (or `score: N/HIGHEST`) how far N is from the lowest to the highest. Case, and marks of emphasis around, do not count.
/// `None` if there is no such line, or if the last one that begins so says something else.
#[must_use]
pub fn written(text: &str, scale: Option<[f64; 2]>) -> Option<f64> {
    let key = if scale.is_some() { "score" } else { "verdict" };
    let said = text.lines().rev().find_map(|line| said_of(line, key))?;
    let Some([low, high]) = scale else {
        return match said.as_str() {
            "pass" => Some(1.0),
            "fail" => Some(0.0),
            _ => None,
        };
    };
    let number = match said.split_once('/') {
        Some((number, of)) if of.trim().parse::<f64>().ok()? == high => number.trim(),
        Some(_) => return None,
        None => said.as_str(),
    };
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-');
    let number: f64 = number.parse().ok().filter(|number: &f64| plain && (low..=high).contains(number))?;
    Some((number - low) / (high - low))
}

/// Which of `count` things a text chooses, from 0: by its last line `choice: N`, which counts from 1. Case, and marks of emphasis around,
/// do not count. `None` if there is no such line, or no such thing.
#[must_use]
pub fn chosen(text: &str, count: usize) -> Option<usize> {
    let said = text.lines().rev().find_map(|line| said_of(line, "choice"))?;
    let number: usize = said.parse().ok()?;
    number.checked_sub(1).filter(|place| *place < count)
}

/// What a line says behind `key:`, in lower case, without marks around it.
fn said_of(line: &str, key: &str) -> Option<String> {
    const MARKS: [char; 8] = ['*', '#', '_', '`', '"', '.', '>', ' '];
    let line = line.trim().to_lowercase();
    let (before, said) = line.trim_matches(MARKS).split_once(':')?;
    (before.trim().trim_matches(MARKS) == key).then(|| said.trim().trim_matches(MARKS).to_owned())
}

/// What several judgements come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Several {
    /// The median, of verdicts the mean.
    pub score: f64,
    /// The share of all samples, unreadable ones too, that decide as the whole does.
    pub agreement: f64,
    /// Those that could be read.
    pub read: usize,
}

/// Folds the scores of samples, `None` for those that could not be read; `None` if none could.
#[must_use]
pub fn several(samples: &[Option<f64>], scaled: bool, pass_at: f64) -> Option<Several> {
    let mut read: Vec<f64> = samples.iter().copied().flatten().collect();
    if read.is_empty() {
        return None;
    }
    read.sort_by(f64::total_cmp);
    let middle = read.len() / 2;
    let median = if read.len() % 2 == 1 { read[middle] } else { f64::midpoint(read[middle - 1], read[middle]) };
    let score = if scaled { median } else { read.iter().sum::<f64>() / read.len() as f64 };
    let pass = score >= pass_at;
    // A verdict stands for itself; a score for what it would decide alone.
    let alone = |one: f64| if scaled { one >= pass_at } else { one > 0.5 };
    let agree = read.iter().filter(|one| alone(**one) == pass).count();
    Some(Several { score, agreement: agree as f64 / samples.len() as f64, read: read.len() })
}

/// The principles of a written list: what stands behind `-`, `*` or a number with a dot at the beginning of a line; at most `most`.
#[must_use]
pub fn listed(text: &str, most: usize) -> Vec<String> {
    let item = |line: &str| {
        let line = line.trim();
        let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let item = match line.strip_prefix(['-', '*', '•']) {
            Some(item) => item,
            None if digits > 0 => line[digits..].strip_prefix(['.', ')'])?,
            None => return None,
        };
        Some(item.trim().to_owned()).filter(|item| !item.is_empty())
    };
    text.lines().filter_map(item).take(most).collect()
}

#[cfg(test)]
mod tests;
