//! Patches of images among tokens. The token of a patch is its code point: far above every vocabulary, so that no head ever makes one, and the
//! same in every model.
//!
//! Where a patch stands in its image follows from the tokens before it, as a position does; so keys and values of common prefixes can
//! be shared whatever they hold.

use galapagos_domain::image::{Patch, Place, Places};

use crate::ModelConfig;

/// A patch among the rows of a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowPatch {
    pub(crate) row: usize,
    pub(crate) patch: Patch,
    pub(crate) place: Place,
}

/// A token that a model has no embedding for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableToken {
    /// Outside of the vocabulary, and no patch.
    #[error("token id {token} is outside the model's vocabulary of {vocab_size}")]
    Unknown {
        /// The id.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A patch, but nothing that reads it.
    #[error("the tokens hold an image, and the model has no vision encoder")]
    Blind,
    /// A patch without a place.
    #[error(
        "an image is larger than the {rows} rows of {columns} patches that the model's vision encoder has places for"
    )]
    Large {
        /// Rows there are.
        rows: usize,
        /// Columns there are.
        columns: usize,
    },
}

/// The patches among `sequences`, which lie one after another, if a model of `config` can read every token.
pub(crate) fn patches<'a>(
    config: &ModelConfig,
    sequences: impl IntoIterator<Item = &'a [u32]>,
) -> Result<Vec<RowPatch>, UnreadableToken> {
    let (mut found, mut row) = (Vec::new(), 0);
    for tokens in sequences {
        let mut places = Places::default();
        for token in tokens {
            match places.next(*token) {
                Some((patch, place)) => {
                    let vision = config.vision.ok_or(UnreadableToken::Blind)?;
                    let (rows, columns) = (vision.rows, vision.columns);
                    if place.row as usize >= rows || place.column as usize >= columns {
                        return Err(UnreadableToken::Large { rows, columns });
                    }
                    found.push(RowPatch { row, patch, place });
                }
                None if *token as usize >= config.vocab_size => {
                    return Err(UnreadableToken::Unknown { token: *token, vocab_size: config.vocab_size });
                }
                None => {}
            }
            row += 1;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::VisionConfig;

    const DOT: u32 = 0xF_0001;
    const END: u32 = 0x10_0000;

    fn config(vision: Option<VisionConfig>) -> ModelConfig {
        ModelConfig { vocab_size: 10, vision, ..ModelConfig::default() }
    }

    #[test]
    fn places_begin_anew_in_each_sequence_and_rows_go_on() {
        let config = config(Some(VisionConfig::new(8, 1)));
        let found = patches(&config, [&[1, DOT, END, DOT][..], &[END, 2][..]]).unwrap();
        let found: Vec<_> = found.iter().map(|at| (at.row, at.patch.pixels, at.place.row, at.place.column)).collect();
        assert_eq!(found, [(1, 1, 0, 0), (2, 0, 0, 1), (3, 1, 1, 0), (4, 0, 0, 0)]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        assert_eq!(patches(&config(None), [&[1, DOT][..]]), Err(UnreadableToken::Blind));
        let seeing = config(Some(VisionConfig { columns: 2, ..VisionConfig::new(8, 1) }));
        let large = patches(&seeing, [&[DOT, DOT, END][..]]);
        assert_eq!(large, Err(UnreadableToken::Large { rows: 16, columns: 2 }));
        assert_eq!(patches(&seeing, [&[10][..]]), Err(UnreadableToken::Unknown { token: 10, vocab_size: 10 }));
    }
}
