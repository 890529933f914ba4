//! Images in texts. A one-bit image is cut into patches of 4 x 4 pixels, and each patch is one private-use character: the character is the
//! pixels, so whatever carries a text carries its images, and two images are the same exactly if their texts are.
//!
//! Patches stand row after row from the top, each row from the left. A bit says that a row ends, so an image has its size in itself. An
//! image begins with the first patch behind another character and ends before the next one: two images need a character between them.

use std::borrow::Cow;

mod font;

pub use font::{Font, GLYPH_HEIGHT, GLYPH_WIDTH};

/// Side of a patch in pixels.
pub const PATCH: u32 = 4;

/// Pixels of a patch.
pub const PATCH_PIXELS: usize = (PATCH * PATCH) as usize;

/// Most patches side by side in an image that models here read.
pub const MOST_COLUMNS: u32 = 64;

/// Most patches below each other.
pub const MOST_ROWS: u32 = 16;

/// The code point of the first character that is a patch. The others follow up to the last of Unicode: planes 15 and 16 as a whole, which
/// no other text has a use for.
pub const FIRST_PATCH: u32 = 0xF_0000;

/// The bit that ends a row.
const ENDS_ROW: u32 = 1 << PATCH_PIXELS;

/// A patch of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patch {
    /// Bit `4 y + x` is the pixel in column `x` from the left and row `y` from the top; 1 is ink.
    pub pixels: u16,
    /// Whether it is the last of its row.
    pub ends_row: bool,
}

impl Patch {
    /// The patch with this code point, if it is one.
    #[must_use]
    pub fn of_code(code: u32) -> Option<Self> {
        let bits = code.checked_sub(FIRST_PATCH).filter(|bits| *bits < 2 * ENDS_ROW)?;
        Some(Self { pixels: (bits % ENDS_ROW) as u16, ends_row: bits >= ENDS_ROW })
    }

    /// Its code point.
    #[must_use]
    pub fn code(self) -> u32 {
        FIRST_PATCH + u32::from(self.pixels) + if self.ends_row { ENDS_ROW } else { 0 }
    }

    /// Its character.
    #[must_use]
    pub fn character(self) -> char {
        // Planes 15 and 16 have no surrogates, so every code is a character.
        char::from_u32(self.code()).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Whether `code` is a patch.
    #[must_use]
    pub fn is_code(code: u32) -> bool {
        Self::of_code(code).is_some()
    }
}

/// Where a patch stands in its image, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    pub row: u32,
    pub column: u32,
}

/// Walks over code points and tells where the patches among them stand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Places {
    row: u32,
    column: u32,
}

impl Places {
    /// The patch that `code` is, and its place; `None` for anything else.
    pub fn next(&mut self, code: u32) -> Option<(Patch, Place)> {
        let Some(patch) = Patch::of_code(code) else {
            *self = Self::default();
            return None;
        };
        let place = Place { row: self.row, column: self.column };
        (self.row, self.column) = if patch.ends_row { (self.row + 1, 0) } else { (self.row, self.column + 1) };
        Some((patch, place))
    }
}

/// Patches that are no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not a row, or a row that does not end.
    #[error("{patches} patches without an end of the row; the last patch of each row has the bit that ends it")]
    Open {
        /// Patches behind the last end of a row.
        patches: usize,
    },
    /// Rows of different widths.
    #[error("row {row} of the image has {found} patches, the first has {first}")]
    Ragged {
        /// From 1.
        row: usize,
        found: usize,
        first: usize,
    },
    /// A character that is no patch.
    #[error("character {character:?} is no patch of an image")]
    Foreign { character: char },
}

/// A one-bit image whose sides are whole patches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    columns: u32,
    rows: u32,
    /// Row after row.
    patches: Vec<u16>,
}

impl Image {
    /// An image without ink of at least so many pixels, rounded up to whole patches.
    #[must_use]
    pub fn blank(width: u32, height: u32) -> Self {
        let (columns, rows) = (width.div_ceil(PATCH).max(1), height.div_ceil(PATCH).max(1));
        Self { columns, rows, patches: vec![0; (columns * rows) as usize] }
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.columns * PATCH
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.rows * PATCH
    }

    /// Whether there is ink at a pixel; none outside.
    #[must_use]
    pub fn ink(&self, x: u32, y: u32) -> bool {
        self.at(x, y).is_some_and(|(patch, bit)| self.patches[patch] >> bit & 1 == 1)
    }

    /// Turns ink on or off at a pixel. Nothing happens outside.
    pub fn flip(&mut self, x: u32, y: u32) {
        if let Some((patch, bit)) = self.at(x, y) {
            self.patches[patch] ^= 1 << bit;
        }
    }

    fn at(&self, x: u32, y: u32) -> Option<(usize, u32)> {
        let inside = x < self.width() && y < self.height();
        inside.then(|| ((y / PATCH * self.columns + x / PATCH) as usize, y % PATCH * PATCH + x % PATCH))
    }

    /// Puts a glyph's ink at a pixel; what does not fit is left out.
    pub fn print(&mut self, glyph: &[u8; GLYPH_HEIGHT as usize], left: u32, top: u32) {
        for (y, row) in (top..).zip(glyph) {
            for x in (0..GLYPH_WIDTH).filter(|x| row >> (GLYPH_WIDTH - 1 - x) & 1 == 1) {
                if !self.ink(left + x, y) {
                    self.flip(left + x, y);
                }
            }
        }
    }

    /// The characters of its patches.
    #[must_use]
    pub fn text(&self) -> String {
        let last = self.columns as usize - 1;
        let patch = |(at, pixels): (usize, &u16)| {
            Patch { pixels: *pixels, ends_row: at % self.columns as usize == last }.character()
        };
        self.patches.iter().enumerate().map(patch).collect()
    }

    /// The image of these characters.
    ///
    /// # Errors
    /// [`ImageError`] where they are none.
    pub fn read(text: &str) -> Result<Self, ImageError> {
        let (mut patches, mut widths, mut open) = (Vec::new(), Vec::new(), 0);
        for character in text.chars() {
            let patch = Patch::of_code(u32::from(character)).ok_or(ImageError::Foreign { character })?;
            patches.push(patch.pixels);
            open += 1;
            if patch.ends_row {
                widths.push(std::mem::take(&mut open));
            }
        }
        let first = widths.first().copied().unwrap_or(0);
        if open > 0 || first == 0 {
            return Err(ImageError::Open { patches: open });
        }
        match widths.iter().position(|width| *width != first) {
            Some(at) => Err(ImageError::Ragged { row: at + 1, found: widths[at], first }),
            None => Ok(Self { columns: first as u32, rows: widths.len() as u32, patches }),
        }
    }

    /// Two rows of pixels a line, by half blocks.
    #[must_use]
    pub fn drawn(&self) -> String {
        let block = |x, y| match (self.ink(x, y), self.ink(x, y + 1)) {
            (false, false) => ' ',
            (true, false) => '▀',
            (false, true) => '▄',
            (true, true) => '█',
        };
        let line = |y| (0..self.width()).map(|x| block(x, y)).collect::<String>().trim_end().to_owned() + "\n";
        (0..self.height()).step_by(2).map(line).collect()
    }
}

/// Whether a text holds a patch of an image.
#[must_use]
pub fn has_image(text: &str) -> bool {
    text.chars().any(|character| Patch::is_code(u32::from(character)))
}

/// A text for people: each image by its size, `[image 40x8]`.
#[must_use]
pub fn named(text: &str) -> Cow<'_, str> {
    replaced(text, |patches| match Image::read(patches) {
        Ok(image) => format!("[image {}x{}]", image.width(), image.height()),
        Err(_) => format!("[{} patches of no image]", patches.chars().count()),
    })
}

/// A text for people: each image drawn by block characters on lines of its own.
#[must_use]
pub fn drawn(text: &str) -> Cow<'_, str> {
    replaced(text, |patches| match Image::read(patches) {
        Ok(image) => format!("\n{}", image.drawn()),
        Err(_) => format!("[{} patches of no image]", patches.chars().count()),
    })
}

fn replaced(text: &str, of: impl Fn(&str) -> String) -> Cow<'_, str> {
    if !has_image(text) {
        return Cow::Borrowed(text);
    }
    let is_patch = |character: char| Patch::is_code(u32::from(character));
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(is_patch) {
        let end = rest[start..].find(|character| !is_patch(character)).map_or(rest.len(), |length| start + length);
        shown.push_str(&rest[..start]);
        shown.push_str(&of(&rest[start..end]));
        rest = &rest[end..];
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests;
