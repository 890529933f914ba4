//! Collectives between ranks that agree, and between ranks that do not.

use std::time::Duration;

use galapagos_collective::{Error, Group, Reduce, Reducer, ReducerOptions};
use tch::{Device, Kind, Tensor};

use crate::harness::{Rank, all_ranks_pass};

const TIMEOUT: Duration = Duration::from_secs(15);

fn full(shape: &[i64], value: f64, kind: Kind) -> Tensor {
    Tensor::full(shape, value, (kind, Device::Cpu))
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

#[test]
fn collectives_give_the_same_on_every_rank() {
    for world_size in [1, 2, 4] {
        all_ranks_pass("collectives::collectives_give_the_same_on_every_rank", world_size, |me| {
            let group = me.group("try-1", TIMEOUT);
            reductions(me, &group);
            broadcasts(me, &group);
            gathering_and_scattering(me, &group);
            owners(me, &group);
            through_the_store(me, &group);
            group.barrier().unwrap();
            group.leave(TIMEOUT).unwrap();
        });
    }
}

fn reductions(me: &Rank, group: &Group) {
    let n = f64::from(me.world_size);
    let sum = n * (n + 1.0) / 2.0;
    for kind in [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Int64] {
        let mut t = full(&[2, 3], f64::from(me.rank + 1), kind);
        group.all_reduce(&mut t, Reduce::Sum).unwrap();
        assert_eq!(values(&t), [sum; 6], "{kind:?}");
    }
    let mut t = full(&[5], f64::from(me.rank + 1), Kind::Float);
    group.all_reduce(&mut t, Reduce::Mean).unwrap();
    assert_eq!(values(&t), [sum / n; 5]);
    let mean_of_integers = group.all_reduce(&mut full(&[2], 1.0, Kind::Int64), Reduce::Mean);
    assert!(matches!(mean_of_integers, Err(Error::Argument { .. })), "{mean_of_integers:?}");
}

fn gathering_and_scattering(me: &Rank, group: &Group) {
    let n = i64::from(me.world_size);
    let mine = full(&[2], f64::from(me.rank), Kind::Float).set_requires_grad(true);
    let all = group.all_gather(&mine).unwrap();
    assert_eq!((all.size(), all.requires_grad()), (vec![n, 2], false));
    let expected: Vec<_> = (0..me.world_size).flat_map(|rank| [f64::from(rank); 2]).collect();
    assert_eq!(values(&all), expected);
    assert_eq!(group.all_gather(&full(&[0, 3], 0.0, Kind::Float)).unwrap().size(), [n, 0, 3]);

    let parts = Tensor::arange(n * 3, (Kind::Float, Device::Cpu)).view([n, 3]);
    let first = f64::from(me.rank * 3);
    let mean = group.reduce_scatter(&parts, Reduce::Mean).unwrap();
    assert_eq!(values(&mean), [first, first + 1.0, first + 2.0]);
    let sum = group.reduce_scatter(&parts, Reduce::Sum).unwrap();
    assert_eq!(values(&sum), values(&mean).iter().map(|v| v * n as f64).collect::<Vec<_>>());
    assert_eq!(group.reduce_scatter(&full(&[n, 0], 0.0, Kind::Float), Reduce::Mean).unwrap().size(), [0]);

    let refused = |result: Result<Tensor, Error>, word: &str| match result {
        Err(Error::Argument { wrong, .. }) => assert!(wrong.contains(word), "{wrong}"),
        other => panic!("{other:?}"),
    };
    refused(group.reduce_scatter(&full(&[n + 1, 3], 1.0, Kind::Float), Reduce::Sum), "one part for each");
    refused(group.reduce_scatter(&full(&[], 1.0, Kind::Float), Reduce::Sum), "one part for each");
    refused(group.reduce_scatter(&full(&[n, 3], 1.0, Kind::Int64), Reduce::Mean), "floating-point");
    refused(group.all_gather(&full(&[2, 3], 1.0, Kind::Float).tr()), "contiguous");
}

fn owners(me: &Rank, group: &Group) {
    let params: Vec<_> = (1..=5).map(|n| full(&[n], f64::from(me.rank), Kind::Float).set_requires_grad(true)).collect();
    let owned: Vec<_> = params.iter().zip((0..me.world_size).cycle()).collect();
    group.broadcast_from(&owned).unwrap();
    for (param, root) in &owned {
        assert!(values(&param.detach()).iter().all(|v| *v == f64::from(*root)) && param.requires_grad(), "{param:?}");
        param.square().sum(Kind::Float).backward();
        assert!(param.grad().defined(), "the parameter is still a leaf");
    }
    group.broadcast_from(&[]).unwrap();
    let parts = full(&[6], 1.0, Kind::Float);
    let shared = group.broadcast_from(&[(&parts, 0), (&params[0], 0), (&parts.narrow(0, 5, 1), 0)]);
    assert!(matches!(&shared, Err(Error::Argument { wrong, .. }) if wrong.contains("tensors 0 and 2")), "{shared:?}");
    let beyond = group.broadcast_from(&[(&parts, me.world_size)]);
    assert!(matches!(beyond, Err(Error::Argument { .. })), "{beyond:?}");
}

fn broadcasts(me: &Rank, group: &Group) {
    let root = me.world_size - 1;
    let mut t = full(&[3], f64::from(me.rank * 7 + 7), Kind::Int64);
    group.broadcast(&mut t, root).unwrap();
    assert_eq!(values(&t), [f64::from(root * 7 + 7); 3]);
    let params = [4, 2].map(|n| full(&[n], f64::from(me.rank), Kind::Float).set_requires_grad(true));
    group.broadcast_parameters(&params, root).unwrap();
    assert_eq!(values(&params[0].detach()), [f64::from(root); 4]);
    assert_eq!(values(&params[1].detach()), [f64::from(root); 2]);
    let beyond = group.broadcast(&mut t, me.world_size);
    assert!(matches!(beyond, Err(Error::Argument { .. })), "{beyond:?}");
}

fn through_the_store(me: &Rank, group: &Group) {
    for round in 0..3_u8 {
        let mine = vec![round; me.rank as usize];
        let all = group.all_gather_bytes(&mine).unwrap();
        let expected: Vec<_> = (0..me.world_size).map(|rank| vec![round; rank as usize]).collect();
        assert_eq!(all, expected);
        group.monitored_barrier("phase", TIMEOUT).unwrap();
    }
}

#[test]
fn ranks_that_disagree_all_get_a_mismatch_and_go_on() {
    all_ranks_pass("collectives::ranks_that_disagree_all_get_a_mismatch_and_go_on", 3, |me| {
        let group = me.group("try-1", TIMEOUT);
        let odd_one = me.rank == 1;
        let other = if odd_one { 0 } else { 1 };

        let mut t = full(&[if odd_one { 8 } else { 4 }], 1.0, Kind::Float);
        mismatch(&group.all_reduce(&mut t, Reduce::Sum), other, "[8]", "[4]");
        assert!(values(&t).iter().all(|v| *v == 1.0), "nothing may be exchanged after a mismatch");

        let mut t = full(&[4], 1.0, if odd_one { Kind::Double } else { Kind::Float });
        mismatch(&group.all_reduce(&mut t, Reduce::Sum), other, "Double", "Float");

        let reduced = if odd_one { group.barrier() } else { group.broadcast(&mut full(&[4], 1.0, Kind::Float), 0) };
        mismatch(&reduced, other, "barrier", "broadcast");

        let params = [5, if odd_one { 3 } else { 2 }].map(|n| full(&[n], 1.0, Kind::Float).set_requires_grad(true));
        let reducer = Reducer::new(&group, &params, ReducerOptions::default()).map(drop);
        mismatch(&reducer, other, "tensor 1: Float [3]", "tensor 1: Float [2]");

        let options = ReducerOptions { find_unused: odd_one, ..ReducerOptions::default() };
        let reducer = Reducer::new(&group, &params[..1], options).map(drop);
        mismatch(&reducer, other, "find_unused: true", "find_unused: false");

        let mut t = full(&[4], 1.0, Kind::Float);
        group.all_reduce(&mut t, Reduce::Sum).unwrap();
        assert_eq!(values(&t), [3.0; 4], "the group works on after a mismatch");
        group.leave(TIMEOUT).unwrap();
    });
}

/// `odd` and `usual` are parts of what rank 1 and the others have; which is mine depends on who `other` is.
fn mismatch(result: &Result<(), Error>, other: u32, odd: &str, usual: &str) {
    let Err(Error::Mismatch { mine, theirs, rank, .. }) = result else { panic!("{result:?}") };
    let (has_mine, has_theirs) = if other == 0 { (odd, usual) } else { (usual, odd) };
    assert!(mine.contains(has_mine) && theirs.contains(has_theirs) && *rank == other, "{result:?}");
}

#[test]
fn ranks_that_disagree_on_parts_and_owners_all_get_a_mismatch_and_go_on() {
    all_ranks_pass("collectives::ranks_that_disagree_on_parts_and_owners_all_get_a_mismatch_and_go_on", 3, |me| {
        let group = me.group("try-1", TIMEOUT);
        let odd_one = me.rank == 1;
        let other = if odd_one { 0 } else { 1 };
        let pick = |odd: i64, usual: i64| if odd_one { odd } else { usual };
        let part = |n: i64, kind: Kind| full(&[3, n], 1.0, kind);

        let gathered = |tensor: &Tensor| group.all_gather(tensor).map(drop);
        mismatch(&gathered(&part(pick(8, 4), Kind::Float)), other, "[3, 8]", "[3, 4]");
        mismatch(&gathered(&part(4, if odd_one { Kind::Half } else { Kind::Float })), other, "Half", "Float");

        let scattered = |tensor: &Tensor, reduce: Reduce| group.reduce_scatter(tensor, reduce).map(drop);
        mismatch(&scattered(&part(pick(8, 4), Kind::Float), Reduce::Sum), other, "[3, 8]", "[3, 4]");
        let kind = if odd_one { Kind::Int64 } else { Kind::Float };
        mismatch(&scattered(&part(4, kind), Reduce::Sum), other, "Int64", "Float");
        let reduce = if odd_one { Reduce::Mean } else { Reduce::Sum };
        mismatch(&scattered(&part(4, Kind::Float), reduce), other, "Mean", "Sum");

        let (a, b) = (part(2, Kind::Float), part(pick(3, 5), Kind::Float));
        mismatch(&group.broadcast_from(&[(&a, 0), (&b, 2)]), other, "tensor 1: Float [3, 3]", "tensor 1: Float [3, 5]");
        mismatch(&group.broadcast_from(&[(&a, if odd_one { 2 } else { 0 })]), other, "from 2", "from 0");
        let count = if odd_one { 1 } else { 2 };
        mismatch(&group.broadcast_from(&[(&a, 0), (&b, 2)][..count]), other, "nothing", "tensor 1");
        mismatch(
            &(if odd_one { gathered(&a) } else { scattered(&a, Reduce::Sum) }),
            other,
            "all_gather",
            "reduce_scatter",
        );

        assert_eq!(values(&group.reduce_scatter(&a, Reduce::Sum).unwrap()), [3.0; 2], "the group works on");
        group.leave(TIMEOUT).unwrap();
    });
}

#[test]
fn world_sizes_that_differ_are_a_mismatch() {
    all_ranks_pass("collectives::world_sizes_that_differ_are_a_mismatch", 2, |me| {
        let believed = Rank { rank: me.rank, world_size: 2 - me.rank, store: me.store.clone() };
        // Rank 1 believes in a world of 1 rank, in which it cannot be.
        let joined = believed.try_group("try-1", Duration::from_secs(1)).map(drop);
        match me.rank {
            0 => assert!(matches!(&joined, Err(Error::Timeout { missing, .. }) if missing.0 == [1]), "{joined:?}"),
            _ => assert!(matches!(&joined, Err(Error::Argument { .. })), "{joined:?}"),
        }
        // Rank 0 has waited for its deadline by now and rank 1 for nothing: both come to the next try together.
        me.store.set(&format!("tried {}", me.rank), b"").unwrap();
        me.store.get_many(&["tried 0".to_owned(), "tried 1".to_owned()], TIMEOUT).unwrap();
        let believed = Rank { rank: me.rank, world_size: 2 + me.rank, store: me.store.clone() };
        let joined = believed.try_group("try-2", Duration::from_secs(2)).map(drop);
        match me.rank {
            0 => assert!(matches!(&joined, Err(Error::Mismatch { rank: 1, .. })), "{joined:?}"),
            _ => assert!(matches!(&joined, Err(Error::Timeout { missing, .. }) if missing.0 == [2]), "{joined:?}"),
        }
        me.group("try-3", TIMEOUT).leave(TIMEOUT).unwrap();
    });
}

#[test]
fn ranks_that_leave_at_once_cut_nobody_off() {
    all_ranks_pass("collectives::ranks_that_leave_at_once_cut_nobody_off", 4, |me| {
        for number in 0..40 {
            me.group(&format!("try-{number}"), TIMEOUT).leave(TIMEOUT).unwrap();
        }
    });
}
