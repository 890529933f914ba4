//! Cuts elementwise work on long tensors into pieces that stay in a processor's cache, and spreads them over threads.
//!
//! An update of AdamW is nine operations on four tensors: on whole tensors the memory bus, not arithmetic, would set its pace. A
//! piece is below the length from which libtorch starts threads for one operation; instead each thread of
//! `tch::get_num_threads` takes a run of whole pieces. Pieces begin at the same places whatever the number of threads, so results do not
//! depend on it. On a GPU a piece is a whole tensor.

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

/// Two tensors of a piece's length for what lies between operations; their contents mean nothing.
#[derive(Debug)]
pub(super) struct Scratch {
    first: Tensor,
    second: Tensor,
}

impl Scratch {
    fn new(length: i64, device: Device) -> Result<Self, TchError> {
        let new = || Tensor::f_empty([length], (tch::Kind::Float, device));
        Ok(Self { first: new()?, second: new()? })
    }

    /// Both, cut to `length`.
    pub(super) fn of(&self, length: i64) -> Result<(Tensor, Tensor), TchError> {
        Ok((self.first.f_narrow(0, 0, length)?, self.second.f_narrow(0, 0, length)?))
    }
}

/// What is done with one piece of each tensor of a part.
pub(super) trait Update<const N: usize>: Copy + Send {
    fn piece(self, tensors: [Tensor; N], scratch: &Scratch) -> Result<(), TchError>;
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
    let Some(device) = parts.first().map(|part| part.tensors[0].device()) else { return Ok(()) };
    tch::no_grad(|| {
        let scratch = Scratch::new(length, device)?;
        for part in &parts {
            for start in (0..part.len()).step_by(length as usize) {
                part.work.piece(part.narrow(start, length.min(part.len() - start))?, &scratch)?;
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
        fn piece(self, [mut tensor]: [Tensor; 1], scratch: &Scratch) -> Result<(), TchError> {
            let (mut ones, _) = scratch.of(tensor.numel() as i64)?;
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
                let part = |tensor: &Tensor| Part { tensors: [tensor.shallow_clone()], work: AddOne };
                let shares = share(tensors.iter().map(part).collect(), PIECE, threads).unwrap();
                assert!(shares.len() <= threads, "{} shares for {threads} threads", shares.len());
                for share in shares {
                    run(share, PIECE).unwrap();
                }
                for tensor in tensors.iter().filter(|tensor| tensor.numel() > 0) {
                    assert_eq!((tensor.min().double_value(&[]), tensor.max().double_value(&[])), (1.0, 1.0));
                }
            }
        }
    }

    #[test]
    fn an_error_in_a_piece_is_the_result() {
        let wrong = Tensor::zeros([3], (Kind::Int64, Device::Cpu));
        // Ones cannot be added in place to whole numbers.
        let error = apply(vec![Part { tensors: [wrong], work: AddOne }]).unwrap_err();
        assert!(error.to_string().contains("update a piece"), "{error}");
    }
}
