//! Which backends can be joined, and what is said of the others.

use galapagos_collective::{Backend, Error, Group, GroupSpec, Reduce};
use tch::{Device, Kind, Tensor};

use crate::harness::{LOOPBACK, all_ranks_pass};
use crate::reducer::TIMEOUT;

#[test]
fn a_backend_that_cannot_be_joined_takes_nothing() {
    all_ranks_pass("backends::a_backend_that_cannot_be_joined_takes_nothing", 2, |me| {
        let spec = GroupSpec {
            prefix: "try-1".to_owned(),
            rank: me.rank,
            world_size: me.world_size,
            host: LOOPBACK,
            timeout: TIMEOUT,
        };
        // No machine has that many devices, so this is refused with and without the feature `cuda`.
        let refused = Group::join(&me.store, Backend::Nccl { device: 100 }, &spec).map(drop);
        if cfg!(feature = "cuda") {
            assert!(matches!(&refused, Err(Error::NoDevice { device: 100, .. })), "{refused:?}");
        } else {
            assert!(matches!(&refused, Err(Error::NotBuilt { backend: "NCCL" })), "{refused:?}");
        }
        // The same prefix and rank are still free.
        let group = Group::join(&me.store, Backend::Gloo, &spec).unwrap();
        assert_eq!(group.backend(), Backend::Gloo);
        let mut ones = Tensor::ones([3], (Kind::Float, Device::Cpu));
        group.all_reduce(&mut ones, Reduce::Sum).unwrap();
        assert_eq!(Vec::<f32>::try_from(ones).unwrap(), [2.0; 3]);
        group.leave(TIMEOUT).unwrap();
    });
}
