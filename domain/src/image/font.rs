//! Bitmap fonts of digits and the plus sign: data, and which glyph a character has.

/// Columns of a glyph.
pub const GLYPH_WIDTH: u32 = 5;

/// Rows of a glyph.
pub const GLYPH_HEIGHT: u32 = 7;

/// Rows from the top; bit 4 is the leftmost pixel.
type Glyph = [u8; GLYPH_HEIGHT as usize];

/// A font.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Font {
    /// Round, as on a dot matrix.
    Round,
    /// Of straight bars, as on a pocket calculator.
    Bars,
    /// Three columns wide, with thin lines.
    Narrow,
}

impl Font {
    /// All fonts.
    pub const ALL: [Self; 3] = [Self::Round, Self::Bars, Self::Narrow];

    /// The glyph of a digit or `+`; `None` for any other character.
    #[must_use]
    pub fn glyph(self, character: char) -> Option<&'static Glyph> {
        let at = "0123456789+".find(character)?;
        Some(match self {
            Self::Round => &ROUND[at],
            Self::Bars => &BARS[at],
            Self::Narrow => &NARROW[at],
        })
    }
}

#[rustfmt::skip]
const ROUND: [Glyph; 11] = [
    [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111],
    [0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
    [0b00000, 0b00100, 0b00100, 0b11111, 0b00100, 0b00100, 0b00000],
];

#[rustfmt::skip]
const BARS: [Glyph; 11] = [
    [0b11111, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11111],
    [0b00001, 0b00001, 0b00001, 0b00001, 0b00001, 0b00001, 0b00001],
    [0b11111, 0b00001, 0b00001, 0b11111, 0b10000, 0b10000, 0b11111],
    [0b11111, 0b00001, 0b00001, 0b11111, 0b00001, 0b00001, 0b11111],
    [0b10001, 0b10001, 0b10001, 0b11111, 0b00001, 0b00001, 0b00001],
    [0b11111, 0b10000, 0b10000, 0b11111, 0b00001, 0b00001, 0b11111],
    [0b11111, 0b10000, 0b10000, 0b11111, 0b10001, 0b10001, 0b11111],
    [0b11111, 0b00001, 0b00001, 0b00001, 0b00001, 0b00001, 0b00001],
    [0b11111, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b11111],
    [0b11111, 0b10001, 0b10001, 0b11111, 0b00001, 0b00001, 0b11111],
    [0b00000, 0b00100, 0b00100, 0b11111, 0b00100, 0b00100, 0b00000],
];

#[rustfmt::skip]
const NARROW: [Glyph; 11] = [
    [0b00000, 0b01110, 0b01010, 0b01010, 0b01010, 0b01110, 0b00000],
    [0b00000, 0b00100, 0b01100, 0b00100, 0b00100, 0b01110, 0b00000],
    [0b00000, 0b01110, 0b00010, 0b01110, 0b01000, 0b01110, 0b00000],
    [0b00000, 0b01110, 0b00010, 0b01110, 0b00010, 0b01110, 0b00000],
    [0b00000, 0b01010, 0b01010, 0b01110, 0b00010, 0b00010, 0b00000],
    [0b00000, 0b01110, 0b01000, 0b01110, 0b00010, 0b01110, 0b00000],
    [0b00000, 0b01110, 0b01000, 0b01110, 0b01010, 0b01110, 0b00000],
    [0b00000, 0b01110, 0b00010, 0b00010, 0b00100, 0b00100, 0b00000],
    [0b00000, 0b01110, 0b01010, 0b01110, 0b01010, 0b01110, 0b00000],
    [0b00000, 0b01110, 0b01010, 0b01110, 0b00010, 0b01110, 0b00000],
    [0b00000, 0b00000, 0b00100, 0b01110, 0b00100, 0b00000, 0b00000],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_glyphs_of_a_font_are_the_same() {
        for font in Font::ALL {
            let glyphs: Vec<_> = "0123456789+".chars().map(|c| font.glyph(c).unwrap()).collect();
            for (at, glyph) in glyphs.iter().enumerate() {
                assert!(!glyphs[..at].contains(glyph), "{font:?}: glyph {at} stands twice");
            }
            assert_eq!(font.glyph('x'), None);
        }
    }
}
