//! In which order requests are computed. Pure: the order follows from the requests alone.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Request;

/// Requests with one prefix, to be decoded together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) prefix: Arc<[u32]>,
    pub(super) waiting: Waiting,
}

/// Samples that have not started, shortest prompt first.
#[derive(Debug)]
pub(super) struct Waiting(VecDeque<Share>);

/// Some samples of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) request: usize,
    pub(super) first_sample: usize,
    pub(super) samples: usize,
}

/// Groups in the order in which their prefixes first occur; within a group by prompt length, then index, so that rows of
/// like length run together.
pub(super) fn groups(requests: &[Request]) -> Vec<Group> {
    let mut by_prefix: Vec<(&Arc<[u32]>, Vec<usize>)> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        match by_prefix.iter_mut().find(|(prefix, _)| **prefix == request.prefix) {
            Some((_, members)) => members.push(index),
            None => by_prefix.push((&request.prefix, vec![index])),
        }
    }
    let group = |(prefix, mut members): (&Arc<[u32]>, Vec<usize>)| {
        members.sort_by_key(|index| (requests[*index].prompt.len(), *index));
        let share = |request: usize| Share { request, first_sample: 0, samples: requests[request].samples };
        Group { prefix: Arc::clone(prefix), waiting: Waiting(members.into_iter().map(share).collect()) }
    };
    by_prefix.into_iter().map(group).collect()
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next samples, at most `rows` of them; a request may be taken in parts.
    pub(super) fn take(&mut self, mut rows: usize) -> Vec<Share> {
        let mut taken = Vec::new();
        while rows > 0 {
            let Some(share) = self.0.pop_front() else { break };
            let now = share.samples.min(rows);
            rows -= now;
            taken.push(Share { samples: now, ..share });
            if now < share.samples {
                self.0.push_front(Share {
                    first_sample: share.first_sample + now,
                    samples: share.samples - now,
                    ..share
                });
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampling;

    fn request(prefix: &[u32], length: usize, samples: usize) -> Request {
        Request {
            prefix: prefix.into(),
            prompt: vec![0; length],
            samples,
            sampling: Sampling::GREEDY,
            max_new_tokens: 1,
            stop_tokens: Arc::default(),
            seed: 0,
        }
    }

    #[test]
    fn groups_by_prefix_and_takes_every_sample_once_in_length_order() {
        let requests = [request(&[1], 5, 2), request(&[2], 1, 1), request(&[1], 3, 4), request(&[1], 3, 1)];
        let mut groups = groups(&requests);
        assert_eq!(groups.iter().map(|group| group.prefix.to_vec()).collect::<Vec<_>>(), [vec![1], vec![2]]);
        let waiting = &mut groups[0].waiting;
        let share = |request, first_sample, samples| Share { request, first_sample, samples };
        assert_eq!(waiting.take(3), [share(2, 0, 3)]);
        assert_eq!(waiting.take(3), [share(2, 3, 1), share(3, 0, 1), share(0, 0, 1)]);
        assert_eq!(waiting.take(3), [share(0, 1, 1)]);
        assert!(waiting.is_empty() && waiting.take(1).is_empty());
    }
}
