//! Sums that are seen: the question is an image of `12+7+30`, the answer the working, line by line, as in `arithmetic_steps`.
//!
//! Font, shifts and noise are drawn with the problem, so an image is a function of the seed as its sum is. A problem's canonical form is that of
//! its sum: no split holds another image of a sum of another split.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Draft;
use super::arithmetic::{self, Expression};
use super::shape::{self, ShapeFault};
use crate::image::{Font, GLYPH_HEIGHT, GLYPH_WIDTH, Image, PATCH};
use crate::seed::Seed;
use crate::trajectory::Verdict;

/// Side of the square that a character has in an image: two patches.
const CELL: u32 = 2 * PATCH;

/// What instances look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Fewest and most numbers, 2 to 4.
    pub count: (u32, u32),
    /// Fewest and most digits of a number, 1 to 3.
    pub digits: (u32, u32),
    /// Of a hundred pixels, how many are turned over; 0 to 20.
    pub noise: u32,
    /// Whether each image shows another sum of the shape, of another value, than is asked for: a control.
    pub mismatched: bool,
}

impl Shape {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { count: (2, 3), digits: (1, 2), noise: 1, mismatched: false };

    /// What is out of range.
    pub(super) fn faults(self) -> Vec<ShapeFault> {
        let faults = [
            shape::range("count", self.count, &(2..=4)),
            shape::range("digits", self.digits, &(1..=3)),
            shape::whole("noise", self.noise, &(0..=20)),
        ];
        faults.into_iter().flatten().collect()
    }

    /// The shape, or the default if it is out of range.
    fn or_default(self) -> Self {
        if self.faults().is_empty() { self } else { Self::DEFAULT }
    }

    /// Tokens of the longest prompt, a patch being one, and characters of the longest answer with what ends it in a solved example.
    pub(super) fn longest(self) -> (u32, u32) {
        let Self { count, digits, .. } = self.or_default();
        let characters = count.1 * digits.1 + count.1 - 1;
        let (_, working) = arithmetic::Shape { count, digits, products: false }.longest();
        (6 + characters * (CELL / PATCH) * (CELL / PATCH), 2 + working)
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A problem of the task family. Of a shape out of range, one of the default.
pub(super) fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Draft {
    let shape = shape.or_default();
    loop {
        // The other sum and the image's own stream are drawn in any case, so that the problems are the same whatever is shown.
        let (asked, other) = (numbers(rng, shape), numbers(rng, shape));
        let mut pen = Seed(rng.random()).stream();
        let worked = |sum: &str| {
            let expression = Expression::parse(&sum.replace('+', " + ")).ok()?;
            expression.worked().map(|(lines, total)| (expression.canonical(), lines, total))
        };
        if let (Some((canonical, lines, total)), Some((.., other_total))) = (worked(&asked), worked(&other))
            && total != other_total
        {
            let image = render(&mut pen, if shape.mismatched { &other } else { &asked }, shape.noise);
            return Draft::question(&image.text(), &lines.join("\n"), canonical);
        }
    }
}

/// A sum as it is written, `12+7+30`.
fn numbers(rng: &mut ChaCha8Rng, shape: Shape) -> String {
    let count = rng.random_range(shape.count.0..=shape.count.1);
    let number = |rng: &mut ChaCha8Rng| {
        let digits = rng.random_range(shape.digits.0..=shape.digits.1);
        let least = if digits == 1 { 1 } else { 10u32.pow(digits - 1) };
        rng.random_range(least..10u32.pow(digits)).to_string()
    };
    (0..count).map(|_| number(rng)).collect::<Vec<_>>().join("+")
}

/// An image of `text`: one font, a shift downwards of the whole line and one to the right of each character, and noise.
fn render(rng: &mut ChaCha8Rng, text: &str, noise: u32) -> Image {
    let mut image = Image::blank(CELL * text.len() as u32, CELL);
    let font = Font::ALL[rng.random_range(0..Font::ALL.len())];
    let top = rng.random_range(0..=CELL - GLYPH_HEIGHT);
    for (at, character) in (0u32..).zip(text.chars()) {
        let shift = rng.random_range(0..CELL - GLYPH_WIDTH);
        if let Some(glyph) = font.glyph(character) {
            image.print(glyph, CELL * at + shift, top);
        }
    }
    for y in 0..image.height() {
        for x in 0..image.width() {
            if rng.random_range(0..100) < noise {
                image.flip(x, y);
            }
        }
    }
    image
}

/// What is asked for, which no prompt says: the first number of a right working, then what is added in each line.
fn asked(answer: &str) -> String {
    let left = |line: &str| line.split_once('=').map_or("", |(left, _)| left).trim().to_owned();
    let mut terms: Vec<String> = Vec::new();
    for line in answer.trim().lines().map(left) {
        match line.split_once(" + ") {
            Some((first, next)) if terms.is_empty() => terms.extend([first.to_owned(), next.to_owned()]),
            Some((_, next)) => terms.push(next.to_owned()),
            None => {}
        }
    }
    terms.join(" + ")
}

/// As `arithmetic_steps`: the last line decides.
pub(super) fn verify(answer: &str, completion: &str) -> Verdict {
    arithmetic::verify(answer, &asked(answer), completion)
}

/// Whether every line so far can be done: also that the numbers were read rightly.
pub(super) fn check_working(answer: &str, so_far: &str) -> Verdict {
    arithmetic::check_working(&asked(answer), so_far)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image;
    use crate::trajectory::Outcome;

    const CLEAR: Shape = Shape { count: (3, 3), digits: (1, 2), noise: 0, mismatched: false };

    /// What an image without noise shows: each cell is compared with every glyph of every font at every place.
    fn seen(image: &Image) -> String {
        let cell = |at: u32| (0..CELL).flat_map(move |y| (0..CELL).map(move |x| (CELL * at + x, y)));
        let shows = |at: u32, character: char| {
            Font::ALL.into_iter().any(|font| {
                (0..=1).any(|top| {
                    (0..3).any(|shift| {
                        let mut one = Image::blank(image.width(), image.height());
                        one.print(font.glyph(character).unwrap(), CELL * at + shift, top);
                        cell(at).all(|(x, y)| one.ink(x, y) == image.ink(x, y))
                    })
                })
            })
        };
        let found = |at| "0123456789+".chars().find(|character| shows(at, *character)).unwrap_or('?');
        (0..image.width() / CELL).map(found).collect()
    }

    fn image_of(draft: &Draft) -> Image {
        let patches: String = draft.prompt.chars().filter(|c| image::Patch::is_code(u32::from(*c))).collect();
        Image::read(&patches).unwrap()
    }

    #[test]
    fn the_sum_asked_for_is_read_off_the_right_working() {
        assert_eq!(asked(" 12 + 7 = 19\n19 + 30 = 49"), "12 + 7 + 30");
        let verdict = |text: &str| verify(" 12 + 7 = 19\n19 + 30 = 49", text);
        assert_eq!(verdict(" 12 + 7 = 19\n19 + 30 = 49").outcome, Outcome::Pass);
        let misread = verdict(" 12 + 1 = 13\n13 + 30 = 43");
        assert_eq!(misread.outcome, Outcome::Fail);
        assert!(misread.reason.contains("line 1: `12 + 1` does not stand in `12 + 7 + 30`"), "{}", misread.reason);
        assert_eq!(check_working(" 12 + 7 = 19", " 12 + 7 = 19\n").outcome, Outcome::Pass);
        assert_eq!(check_working(" 12 + 7 = 19", " 12 + 8 = 20\n").outcome, Outcome::Fail);
    }

    #[test]
    fn the_longest_texts_are_those_of_the_largest_numbers() {
        assert_eq!(CLEAR.longest(), (6 + 8 * 4, 2 + "99 + 99 = 198\n198 + 99 = 297".len() as u32));
    }

    #[test]
    fn noise_turns_about_so_many_pixels_over() {
        let (mut flipped, mut all) = (0, 0);
        for seed in 0..50 {
            let of = |noise| image_of(&draw(&mut Seed(seed).stream(), Shape { noise, ..CLEAR }));
            let (clear, noisy) = (of(0), of(10));
            let pixels = (0..clear.height()).flat_map(|y| (0..clear.width()).map(move |x| (x, y)));
            flipped += pixels.filter(|(x, y)| clear.ink(*x, *y) != noisy.ink(*x, *y)).count();
            all += (clear.width() * clear.height()) as usize;
        }
        let share = flipped as f64 / all as f64;
        assert!((0.08..0.12).contains(&share), "{share}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn the_image_shows_the_sum_that_is_asked_for_and_no_mismatched_one_does(seed in 0u64..) {
            let right = draw(&mut Seed(seed).stream(), CLEAR);
            let wrong = draw(&mut Seed(seed).stream(), Shape { mismatched: true, ..CLEAR });
            let sum = asked(&right.answer).replace(' ', "");
            prop_assert_eq!(&seen(&image_of(&right)), &sum);
            prop_assert_ne!(seen(&image_of(&wrong)), sum);
            prop_assert_eq!((right.canonical, right.answer), (wrong.canonical, wrong.answer));
        }
    }
}
