//! Options of families: what is out of range, and how many problems a shape surely has. Ranges are data for whoever reports them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::Family;
use super::split::{Part, Space};
use crate::seed::Seed;

/// An option that is out of range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeFault {
    /// The option's word.
    pub field: &'static str,
    /// What is wrong, with the value.
    pub message: String,
    /// What would be right.
    pub help: String,
}

/// The fault of a least and a most, if they are no range within `allowed`.
pub(super) fn range<T: PartialOrd + Display>(
    field: &'static str,
    given: (T, T),
    allowed: &RangeInclusive<T>,
) -> Option<ShapeFault> {
    let (least, most) = given;
    let fits = least <= most && allowed.contains(&least) && allowed.contains(&most);
    (!fits).then(|| ShapeFault {
        field,
        message: format!("[{least}, {most}] is out of range"),
        help: format!("use a least and a most, both from {} to {}", allowed.start(), allowed.end()),
    })
}

/// The fault of a number that is not in `allowed`.
pub(super) fn whole(field: &'static str, given: u32, allowed: &RangeInclusive<u32>) -> Option<ShapeFault> {
    (!allowed.contains(&given)).then(|| ShapeFault {
        field,
        message: format!("{given} is out of range"),
        help: format!("use a whole number from {} to {}", allowed.start(), allowed.end()),
    })
}

/// Digits of a number.
pub(super) fn digits(number: u64) -> u32 {
    number.checked_ilog10().unwrap_or(0) + 1
}

/// Drafts that a space is judged by at most, and after which it is looked at, since most parts are far larger than what is asked of them.
const LOOKS: [usize; 3] = [250, 1000, 4000];

/// Whether `part` has `asked` problems, told by a fixed sample. What is promised may be asked for so that drawing it by rejection surely
/// ends soon; it is fewer than there are: what came up in the sample, or a quarter of the effective number 1 / sum p² as its collisions
/// tell it, whichever is more.
///
/// Any D forms hold at most sqrt(D sum p²) of the probability (Cauchy-Schwarz), so as long as D is at most a quarter of the effective
/// number, at least every second draft is a new one.
pub(super) fn sampled(family: Family, part: Part, asked: u64) -> Space {
    type Known = BTreeMap<(Family, &'static str, u64), (u64, u64)>;
    // A recipe is checked many times with the same sets: an experiment's arms, a plan, a form that is filled in.
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let key = (family, part.label(), asked);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known().get(&key).copied();
    let (forms, prompts) = found.unwrap_or_else(|| {
        let promised = promise(family, part, asked);
        known().insert(key, promised);
        promised
    });
    Space::Sampled { forms, prompts }
}

/// Forms and prompts that `part` surely holds, as far as it matters to who asks for so many.
fn promise(family: Family, part: Part, asked: u64) -> (u64, u64) {
    let mut rng = Seed(0).derive(&format!("space/{family}")).stream();
    let (mut forms, mut prompts) = (BTreeMap::new(), BTreeMap::new());
    let mut drawn = 0;
    let mut promised = (0, 0);
    for look in LOOKS {
        for _ in drawn..look {
            let draft = family.draw(&mut rng);
            if Part::of_form(family, &draft.canonical) == part {
                *forms.entry(draft.canonical).or_insert(0u64) += 1;
                *prompts.entry(draft.prompt).or_insert(0u64) += 1;
            }
        }
        drawn = look;
        promised = (surely(&forms), surely(&prompts));
        if promised.0 >= asked {
            break;
        }
    }
    promised
}

fn surely(seen: &BTreeMap<String, u64>) -> u64 {
    let pairs = |n: u64| n * n.saturating_sub(1) / 2;
    let drawn: u64 = seen.values().sum();
    let collisions: u64 = seen.values().copied().map(pairs).sum();
    // Two deviations more than were counted, and three where none was, so that luck does not promise too much.
    let at_most = collisions + 2 * collisions.isqrt() + 3;
    (pairs(drawn) / at_most / 4).max(seen.len() as u64)
}
