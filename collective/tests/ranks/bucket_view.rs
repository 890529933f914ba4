//! Gradients that are views into the reducer's buckets, against ordinary ones.

use galapagos_collective::{Error, Group, Reducer, ReducerOptions, clear_grads};
use tch::{Device, Kind, Tensor};

use crate::harness::{Rank, all_ranks_pass, is_rank};
use crate::mlp::{Batch, Mlp};
use crate::reducer::{OPTIONS, ROWS, TIMEOUT, own_rows, same_bits_everywhere};
use crate::reference::shared_folder;

const VIEWS: ReducerOptions = ReducerOptions { bucket_view: true, ..OPTIONS };

/// A step of gradient descent on `rows`, in `micro_batches` parts, of which the last one reduces.
fn step(reducer: &Reducer, mlp: &Mlp, rows: &Batch, micro_batches: i64) {
    let each = rows.x.size()[0] / micro_batches;
    for i in 0..micro_batches {
        let reduces = i == micro_batches - 1;
        if reduces {
            reducer.prepare_step().unwrap();
        }
        let loss = mlp.loss(&rows.rows(i * each, each)) / micro_batches as f64;
        if reduces { reducer.backward(&loss).unwrap() } else { reducer.backward_local(&loss).unwrap() }
    }
    tch::no_grad(|| {
        for param in &mlp.params {
            let mut weight = param.detach();
            let _ = weight.subtract_(&(param.grad() * 0.1));
        }
    });
}

fn assert_same_bits(ours: &[Tensor], theirs: &[Tensor], when: &str) {
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!(a.equal(b), "{when}: tensor {i} is off by {:e}", (a - b).abs().max().double_value(&[]));
    }
}

fn compare(me: &Rank, group: &Group, problem: &std::path::Path) {
    let (plain, batch) = Mlp::read_problem(problem);
    let (viewed, _) = Mlp::read_problem(problem);
    let rows = own_rows(me, &batch);
    let plain_reducer = Reducer::new(group, &plain.params, OPTIONS).unwrap();
    let view_reducer = Reducer::new(group, &viewed.params, VIEWS).unwrap();
    let first = viewed.params[0].copy();
    // Whether the gradients are cleared before the step, and its number of micro batches.
    for (number, (clears, micro_batches)) in
        [(true, 1), (true, 1), (false, 1), (true, 3), (false, 2), (true, 1)].into_iter().enumerate()
    {
        for (reducer, mlp) in [(&plain_reducer, &plain), (&view_reducer, &viewed)] {
            if clears {
                clear_grads(&mlp.params).unwrap();
            }
            step(reducer, mlp, &rows, micro_batches);
        }
        let when = format!("rank {}, step {number}", me.rank);
        assert_same_bits(&viewed.grads(), &plain.grads(), &when);
        assert_same_bits(&viewed.params, &plain.params, &when);
    }
    assert!(view_reducer.bucket_count().unwrap() > 1);
    assert!(!viewed.params[0].equal(&first), "six steps left the weights as they were");
    same_bits_everywhere(group, &viewed.grads());
}

#[test]
fn gradients_as_views_equal_ordinary_ones_over_several_steps() {
    let problem = shared_folder("bucket_view").join("problem.safetensors");
    for world_size in [1, 2] {
        if !is_rank() {
            Mlp::write_problem(&problem, ROWS, 71);
        }
        all_ranks_pass("bucket_view::gradients_as_views_equal_ordinary_ones_over_several_steps", world_size, |me| {
            let group = me.group("try-1", TIMEOUT);
            compare(me, &group, &problem);
            group.leave(TIMEOUT).unwrap();
        });
    }
}

#[test]
fn only_clear_grads_clears_views() {
    all_ranks_pass("bucket_view::only_clear_grads_clears_views", 1, |me| {
        let group = me.group("try-1", TIMEOUT);
        for (options, views) in [(OPTIONS, false), (VIEWS, true)] {
            let params = [Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true)];
            let reducer = Reducer::new(&group, &params, options).unwrap();
            for _ in 0..2 {
                clear_grads(&params).unwrap();
                assert!(!params[0].grad().defined());
                reducer.prepare_step().unwrap();
                reducer.backward(&(&params[0] * 2.0).sum(Kind::Float)).unwrap();
                assert_eq!(Vec::<f32>::try_from(params[0].grad()).unwrap(), [2.0; 3]);
            }
            // What tch's zero_grad does first, and then panics on.
            let detached = params[0].grad().f_detach_();
            assert_eq!(detached.is_err(), views, "{options:?}: {detached:?}");
        }
        group.leave(TIMEOUT).unwrap();
    });
}

#[test]
fn views_are_agreed_and_outlive_their_group() {
    all_ranks_pass("bucket_view::views_are_agreed_and_outlive_their_group", 2, |me| {
        let group = me.group("try-1", TIMEOUT);
        let params = [Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true)];
        let options = ReducerOptions { bucket_view: me.rank == 0, ..OPTIONS };
        let disagreed = Reducer::new(&group, &params, options).map(drop);
        assert!(matches!(disagreed, Err(Error::Mismatch { .. })), "{disagreed:?}");
        let reducer = Reducer::new(&group, &params, VIEWS).unwrap();
        reducer.prepare_step().unwrap();
        reducer.backward(&(params[0].sum(Kind::Float) * f64::from(me.rank + 1))).unwrap();
        let grad = params[0].grad();
        drop(reducer);
        group.leave(TIMEOUT).unwrap();
        assert_eq!(Vec::<f32>::try_from(grad).unwrap(), [1.5; 3]);
    });
}
