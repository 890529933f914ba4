//! Cuts elementwise work on long tensors into pieces that stay in a processor's cache, and spreads them over threads.
//!
//! An update is several passes over several tensors: on whole tensors the memory bus, not arithmetic, would set its
//! pace. A piece is below the length from which libtorch starts threads for one operation; instead each thread of
//! `tch::get_num_threads` takes a run of whole pieces. Pieces begin at the same places whatever the number of threads,
//! so results do not depend on it. On a GPU a piece is a whole tensor.

use std::thread;

use tch::{Device, TchError, Tensor};

use super::error::{OptimError, tensor};

/// Elements of one piece: 64 KiB of f32.
pub(super) const PIECE: i64 = 1 << 14;

/// Work on `tensors`, flat and of equal length, with `work` as what to do.
#[derive(Debug)]
pub(super) struct Part<W, const N: usize> {
    pub(super) tensors: [Tensor; N],
    pub(super) work: W,
}

/// Memory for what lies between the operations on one piece, kept from piece to piece; its contents mean nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    tensors: Option<(Tensor, Tensor)>,
}

impl Scratch {
    /// Two tensors as long as `like`, on its device.
    pub(super) fn tensors(&mut self, like: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let length = like.numel() as i64;
        let fitting = self.tensors.take().filter(|(first, _)| first.numel() as i64 >= length);
        let (first, second) = match fitting {
            Some(tensors) => tensors,
            None => (like.f_empty_like()?, like.f_empty_like()?),
        };
        let cut = (first.f_narrow(0, 0, length)?, second.f_narrow(0, 0, length)?);
        self.tensors = Some((first, second));
        Ok(cut)
    }
}

/// What is done with one piece of each tensor of a part.
pub(super) trait Update<const N: usize>: Copy + Send {
    fn piece(self, tensors: [Tensor; N], scratch: &mut Scratch) -> Result<(), TchError>;
}

/// Applies the work of all parts, piece by piece. All tensors must lie on one device.
///
/// # Errors
/// What libtorch says of the first piece that failed; others may have been done.
pub(super) fn apply<W: Update<N>, const N: usize>(parts: Vec<Part<W, N>>) -> Result<(), OptimError> {
    let Some(longest) = parts.iter().map(Part::len).max() else { return Ok(()) };
    let device = parts[0].tensors[0].device();
    let length = if device == Device::Cpu { longest.min(PIECE) } else { longest };
    if length == 0 {
        return Ok(());
    }
    let threads = if device == Device::Cpu { usize::try_from(tch::get_num_threads()).unwrap_or(1) } else { 1 };
    spread(parts, length, threads)
}

/// Runs the parts on at most `threads` threads, of which this is one.
fn spread<W: Update<N>, const N: usize>(parts: Vec<Part<W, N>>, length: i64, threads: usize) -> Result<(), OptimError> {
    let mut shares = share(parts, length, threads)?;
    let own = shares.pop().unwrap_or_default();
    thread::scope(|scope| {
        let start = |share| {
            let builder = thread::Builder::new().name("optimiser".to_owned());
            builder.spawn_scoped(scope, move || run(share, length)).map_err(|source| OptimError::Thread { source })
        };
        let started: Vec<_> = shares.into_iter().map(start).collect();
        let mut result = run(own, length);
        for handle in started {
            let ended = handle.and_then(|handle| handle.join().unwrap_or(Err(OptimError::ThreadEnded)));
            result = result.and(ended);
        }
        result
    })
}

fn run<W: Update<N>, const N: usize>(parts: Vec<Part<W, N>>, length: i64) -> Result<(), OptimError> {
    tch::no_grad(|| {
        let mut scratch = Scratch::default();
        for part in &parts {
            for start in (0..part.len()).step_by(length as usize) {
                part.work.piece(part.narrow(start, length.min(part.len() - start))?, &mut scratch)?;
            }
        }
        Ok(())
    })
    .map_err(tensor("update a piece of the weights"))
}

/// Splits the parts into at most `count` shares of about equal length, cutting only between pieces.
fn share<W: Copy, const N: usize>(
    parts: Vec<Part<W, N>>,
    length: i64,
    count: usize,
) -> Result<Vec<Vec<Part<W, N>>>, OptimError> {
    let pieces: i64 = parts.iter().map(|part| part.len() / length + 1).sum();
    let count = count.max(1) as i64;
    let budget = pieces / count + 1;
    let mut shares = vec![Vec::new()];
    let mut left = budget;
    for part in parts {
        let mut start = 0;
        while start < part.len() {
            if left == 0 {
                shares.push(Vec::new());
                left = budget;
            }
            let taken = (left * length).min(part.len() - start);
            let cut = part.narrow(start, taken).map_err(tensor("cut the weights into pieces"))?;
            if let Some(share) = shares.last_mut() {
                share.push(Part { tensors: cut, work: part.work });
            }
            start += taken;
            left -= (taken + length - 1) / length;
        }
    }
    Ok(shares)
}

impl<W, const N: usize> Part<W, N> {
    fn len(&self) -> i64 {
        self.tensors[0].numel() as i64
    }

    fn narrow(&self, start: i64, length: i64) -> Result<[Tensor; N], TchError> {
        let cut = self.tensors.iter().map(|tensor| tensor.f_narrow(0, start, length));
        let cut: Vec<Tensor> = cut.collect::<Result<_, _>>()?;
        cut.try_into().map_err(|_| TchError::Shape("a part's tensors changed in number".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[derive(Clone, Copy)]
    struct AddOne;

    impl Update<1> for AddOne {
        fn piece(self, [mut tensor]: [Tensor; 1], scratch: &mut Scratch) -> Result<(), TchError> {
            let (mut ones, _) = scratch.tensors(&tensor)?;
            let _ = ones.f_fill_(1.0)?;
            tensor.f_add_(&ones).map(|_| ())
        }
    }

    #[test]
    fn every_element_is_visited_once_whatever_the_shares() {
        for lengths in [vec![PIECE * 2 + 3, 1, PIECE, 0, 5], vec![1], vec![0], vec![], vec![7, 7]] {
            for threads in [1, 2, 3, 50] {
                let tensors: Vec<Tensor> =
                    lengths.iter().map(|length| Tensor::zeros([*length], (Kind::Float, Device::Cpu))).collect();
                let parts = || {
                    let part = |tensor: &Tensor| Part { tensors: [tensor.shallow_clone()], work: AddOne };
                    tensors.iter().map(part).collect()
                };
                let shares = share(parts(), PIECE, threads).unwrap();
                assert!(shares.len() <= threads, "{} shares for {threads} threads", shares.len());
                spread(parts(), PIECE, threads).unwrap();
                for tensor in tensors.iter().filter(|tensor| tensor.numel() > 0) {
                    assert_eq!((tensor.min().double_value(&[]), tensor.max().double_value(&[])), (1.0, 1.0));
                }
            }
        }
    }

    #[derive(Clone, Copy)]
    struct FailsOnNegative;

    impl Update<1> for FailsOnNegative {
        fn piece(self, [tensor]: [Tensor; 1], _: &mut Scratch) -> Result<(), TchError> {
            if tensor.min().double_value(&[]) < 0.0 { Err(TchError::Shape("negative".to_owned())) } else { Ok(()) }
        }
    }

    #[test]
    fn an_error_in_any_piece_is_the_result() {
        for (negative, fails) in [(0, true), (PIECE * 3, true), (PIECE * 4 - 1, true), (PIECE * 4, false)] {
            let tensor = Tensor::zeros([PIECE * 4 + 1], (Kind::Float, Device::Cpu));
            let _ = tensor.narrow(0, negative, 1).fill_(-1.0);
            for threads in 1..5 {
                let parts = vec![Part { tensors: [tensor.narrow(0, 0, PIECE * 4)], work: FailsOnNegative }];
                assert_eq!(spread(parts, PIECE, threads).is_err(), fails, "{negative} on {threads} threads");
            }
        }
    }
}
