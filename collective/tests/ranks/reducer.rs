//! Gradients averaged over ranks against those of one process on the joined batch, and against PyTorch.

use std::path::Path;
use std::time::Duration;

use galapagos_collective::{Error, Reducer, ReducerOptions, clear_grads};
use tch::{Device, Kind, Tensor};

use crate::harness::{Rank, all_ranks_pass, is_rank};
use crate::mlp::{Batch, Mlp, read_grads, relative_error, write_grads};
use crate::reference::{run_script, shared_folder};

pub const TIMEOUT: Duration = Duration::from_secs(15);
pub const ROWS: i64 = 24;
const TOLERANCE: f64 = 1e-5;
/// Small, so that the network has several buckets.
pub const OPTIONS: ReducerOptions =
    ReducerOptions { bucket_bytes: 4 << 10, first_bucket_bytes: 1 << 10, find_unused: false, bucket_view: false };

pub fn own_rows(me: &Rank, batch: &Batch) -> Batch {
    let each = ROWS / i64::from(me.world_size);
    batch.rows(i64::from(me.rank) * each, each)
}

/// Three reducing steps on this rank's rows; the gradients of the last one go to `grads-N` by rank 0, and every rank's
/// are the same to the bit.
fn reduce_rows(me: &Rank, folder: &Path) {
    let (mlp, batch) = Mlp::read_problem(&folder.join("problem.safetensors"));
    let rows = own_rows(me, &batch);
    let group = me.group("try-1", TIMEOUT);
    let reducer = Reducer::new(&group, &mlp.params, OPTIONS).unwrap();
    assert_eq!(reducer.bucket_count().unwrap(), 1);
    for _ in 0..3 {
        clear_grads(&mlp.params).unwrap();
        reducer.prepare_step().unwrap();
        reducer.backward(&mlp.loss(&rows)).unwrap();
    }
    assert!(reducer.bucket_count().unwrap() > 1, "buckets were not packed anew after the first step");
    same_bits_everywhere(&group, &mlp.grads());
    if me.rank == 0 {
        write_grads(&folder.join(format!("grads-{}.safetensors", me.world_size)), &mlp.grads());
    }
    group.leave(TIMEOUT).unwrap();
}

pub fn same_bits_everywhere(group: &galapagos_collective::Group, grads: &[Tensor]) {
    let floats: Vec<f32> = grads.iter().flat_map(|g| Vec::<f32>::try_from(g.flatten(0, -1)).unwrap()).collect();
    let bytes: Vec<u8> = floats.iter().flat_map(|f| f.to_le_bytes()).collect();
    let all = group.all_gather_bytes(&bytes).unwrap();
    assert!(all.iter().all(|theirs| *theirs == bytes), "ranks have different gradients");
}

#[test]
fn gradients_equal_those_of_one_process_on_the_joined_batch() {
    let folder = shared_folder("joined_batch");
    let problem = folder.join("problem.safetensors");
    for world_size in [1, 2, 4] {
        if !is_rank() {
            Mlp::write_problem(&problem, ROWS, 17 + i64::from(world_size));
        }
        let name = "reducer::gradients_equal_those_of_one_process_on_the_joined_batch";
        all_ranks_pass(name, world_size, |me| reduce_rows(me, &folder));
        let (mlp, batch) = Mlp::read_problem(&problem);
        mlp.loss(&batch).backward();
        let reduced = read_grads(&folder.join(format!("grads-{world_size}.safetensors")));
        let error = relative_error(&reduced, &mlp.grads());
        assert!(error <= TOLERANCE, "world size {world_size}: relative error {error:e}");
        // The comparison can fail: one rank's own rows give something else.
        clear_grads(&mlp.params).unwrap();
        mlp.loss(&batch.rows(0, ROWS / 4)).backward();
        assert!(relative_error(&reduced, &mlp.grads()) > 0.01);
    }
}

#[test]
fn gradients_equal_the_pytorch_reference() {
    let folder = shared_folder("pytorch_reference");
    let problem = folder.join("problem.safetensors");
    if !is_rank() {
        Mlp::write_problem(&problem, ROWS, 5);
    }
    all_ranks_pass("reducer::gradients_equal_the_pytorch_reference", 2, |me| reduce_rows(me, &folder));
    let expected = folder.join("expected.safetensors");
    run_script("mlp_gradients.py", &[&problem, &expected]);
    let error = relative_error(&read_grads(&folder.join("grads-2.safetensors")), &read_grads(&expected));
    assert!(error <= TOLERANCE, "relative error {error:e}");
}

#[test]
fn accumulated_gradients_equal_those_of_one_large_batch() {
    const MICRO_BATCHES: i64 = 3;
    let folder = shared_folder("accumulated");
    let problem = folder.join("problem.safetensors");
    if !is_rank() {
        Mlp::write_problem(&problem, ROWS, 99);
    }
    all_ranks_pass("reducer::accumulated_gradients_equal_those_of_one_large_batch", 2, |me| {
        let (mlp, batch) = Mlp::read_problem(&problem);
        let rows = own_rows(me, &batch);
        let group = me.group("try-1", TIMEOUT);
        let reducer = Reducer::new(&group, &mlp.params, OPTIONS).unwrap();
        let each = ROWS / 2 / MICRO_BATCHES;
        for _ in 0..2 {
            clear_grads(&mlp.params).unwrap();
            for i in 0..MICRO_BATCHES {
                let last = i == MICRO_BATCHES - 1;
                if last {
                    reducer.prepare_step().unwrap();
                }
                let loss = mlp.loss(&rows.rows(i * each, each)) / MICRO_BATCHES as f64;
                if last {
                    reducer.backward(&loss).unwrap()
                } else {
                    reducer.backward_local(&loss).unwrap()
                }
                if i == 0 {
                    let first = mlp.params[0].grad().flatten(0, -1);
                    let bytes: Vec<u8> =
                        Vec::<f32>::try_from(first).unwrap().iter().flat_map(|f| f.to_le_bytes()).collect();
                    let all = group.all_gather_bytes(&bytes).unwrap();
                    assert_ne!(all[0], all[1], "a local backward must not reduce");
                }
            }
        }
        same_bits_everywhere(&group, &mlp.grads());
        if me.rank == 0 {
            write_grads(&folder.join("grads.safetensors"), &mlp.grads());
        }
        group.leave(TIMEOUT).unwrap();
    });
    let (mlp, batch) = Mlp::read_problem(&problem);
    mlp.loss(&batch).backward();
    let error = relative_error(&read_grads(&folder.join("grads.safetensors")), &mlp.grads());
    assert!(error <= TOLERANCE, "relative error {error:e}");
}

#[test]
fn a_parameter_without_part_in_the_loss_needs_find_unused() {
    all_ranks_pass("reducer::a_parameter_without_part_in_the_loss_needs_find_unused", 2, |me| {
        let params = [3, 2].map(|n| Tensor::ones([n], (Kind::Float, Device::Cpu)).set_requires_grad(true));
        let loss = || (&params[0] * f64::from(me.rank + 1)).sum(Kind::Float);

        let group = me.group("try-1", TIMEOUT);
        let reducer = Reducer::new(&group, &params, ReducerOptions::default()).unwrap();
        reducer.prepare_step().unwrap();
        let unfinished = reducer.backward(&loss());
        assert!(matches!(unfinished, Err(Error::Unfinished { .. })), "{unfinished:?}");
        drop(reducer);

        let group = me.group("try-2", TIMEOUT);
        let options = ReducerOptions { find_unused: true, ..ReducerOptions::default() };
        let reducer = Reducer::new(&group, &params, options).unwrap();
        for _ in 0..2 {
            clear_grads(&params).unwrap();
            reducer.prepare_step().unwrap();
            reducer.backward(&loss()).unwrap();
            assert_eq!(Vec::<f32>::try_from(params[0].grad()).unwrap(), [1.5; 3]);
            assert!(!params[1].grad().defined());
        }
        group.leave(TIMEOUT).unwrap();
    });
}

#[test]
fn calls_out_of_order_and_unfit_parameters_are_refused() {
    all_ranks_pass("reducer::calls_out_of_order_and_unfit_parameters_are_refused", 1, |me| {
        let group = me.group("try-1", TIMEOUT);
        let leaf = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Argument { .. })), "{result:?}");
        for unfit in [vec![], vec![leaf.detach()], vec![&leaf * 2.0], vec![Tensor::new()]] {
            refused(Reducer::new(&group, &unfit, ReducerOptions::default()).map(drop));
        }
        let reducer = Reducer::new(&group, std::slice::from_ref(&leaf), ReducerOptions::default()).unwrap();
        let loss = || leaf.sum(Kind::Float);
        refused(reducer.backward(&loss()));
        reducer.prepare_step().unwrap();
        refused(reducer.backward_local(&loss()));
        reducer.backward(&loss()).unwrap();
        assert_eq!(Vec::<f32>::try_from(leaf.grad()).unwrap(), [1.0; 3], "a refused backward must not have run");
        refused(reducer.backward(&loss()));
    });
}

#[test]
fn without_its_reducer_a_parameter_has_ordinary_gradients() {
    all_ranks_pass("reducer::without_its_reducer_a_parameter_has_ordinary_gradients", 2, |me| {
        let group = me.group("try-1", TIMEOUT);
        let leaf = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let loss = || leaf.sum(Kind::Float) * f64::from(me.rank + 1);
        let reducer = Reducer::new(&group, std::slice::from_ref(&leaf), ReducerOptions::default()).unwrap();
        reducer.prepare_step().unwrap();
        reducer.backward(&loss()).unwrap();
        assert_eq!(Vec::<f32>::try_from(leaf.grad()).unwrap(), [1.5; 3]);
        drop(reducer);
        clear_grads(std::slice::from_ref(&leaf)).unwrap();
        loss().backward();
        assert_eq!(Vec::<f32>::try_from(leaf.grad()).unwrap(), [me.rank as f32 + 1.0; 3]);
        group.leave(TIMEOUT).unwrap();
    });
}
