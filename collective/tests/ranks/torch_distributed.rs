//! Every collective against PyTorch's own torch.distributed over Gloo, with as many processes and the same random inputs.
//!
//! Results are compared bit for bit, sums too: the order in which Gloo adds is a function of world size and length only, and
//! both sides run the same libtorch.

use std::collections::BTreeMap;
use std::path::Path;

use galapagos_collective::{Group, Reduce};
use tch::{Device, Kind, Tensor};

use crate::harness::{Rank, all_ranks_pass, is_rank};
use crate::reducer::TIMEOUT;
use crate::reference::{run_script, shared_folder};

const NAME: &str = "torch_distributed::collectives_equal_the_torch_distributed_reference";
const WORLD_SIZES: [u32; 3] = [1, 2, 4];

type Named = BTreeMap<String, Tensor>;

/// Tensors that are sent whole, by name.
fn whole() -> Vec<(&'static str, Vec<i64>, Kind)> {
    vec![
        ("f32", vec![3, 5], Kind::Float),
        ("f64", vec![17], Kind::Double),
        ("bf16", vec![4, 3], Kind::BFloat16),
        ("i64", vec![2, 3, 4], Kind::Int64),
        ("large", vec![30_011], Kind::Float),
        ("scalar", vec![], Kind::Float),
    ]
}

/// Tensors of one part for each rank, by name; the shape is that of a part.
fn parts() -> Vec<(&'static str, Vec<i64>, Kind)> {
    vec![
        ("parts_f32", vec![7, 3], Kind::Float),
        ("parts_bf16", vec![5], Kind::BFloat16),
        ("parts_i64", vec![6], Kind::Int64),
        ("parts_scalar", vec![], Kind::Float),
    ]
}

fn random(shape: &[i64], kind: Kind) -> Tensor {
    match kind {
        Kind::Int64 => Tensor::randint_low(-1000, 1000, shape, (kind, Device::Cpu)),
        _ => Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind),
    }
}

fn write_inputs(file: &Path, world_size: u32) {
    tch::manual_seed(40 + i64::from(world_size));
    let mut named = Vec::new();
    for rank in 0..world_size {
        for (name, shape, kind) in whole() {
            named.push((format!("{name}.{rank}"), random(&shape, kind)));
        }
        for (name, part, kind) in parts() {
            let shape = [&[i64::from(world_size)], part.as_slice()].concat();
            named.push((format!("{name}.{rank}"), random(&shape, kind)));
        }
    }
    Tensor::write_safetensors(&named, file).unwrap();
}

fn read(file: &Path) -> Named {
    Tensor::read_safetensors(file).unwrap().into_iter().collect()
}

fn results(me: &Rank, group: &Group, inputs: &Named) -> Vec<(String, Tensor)> {
    let mine = |name: &str| &inputs[&format!("{name}.{}", me.rank)];
    let mut out = Vec::new();
    for (name, _, kind) in whole() {
        let mut sum = mine(name).copy();
        group.all_reduce(&mut sum, Reduce::Sum).unwrap();
        out.push((format!("all_reduce_sum.{name}"), sum));
        if kind != Kind::Int64 {
            let mut mean = mine(name).copy();
            group.all_reduce(&mut mean, Reduce::Mean).unwrap();
            out.push((format!("all_reduce_mean.{name}"), mean));
        }
        out.push((format!("all_gather.{name}"), group.all_gather(mine(name)).unwrap()));
        let mut sent = mine(name).copy();
        group.broadcast(&mut sent, me.world_size - 1).unwrap();
        out.push((format!("broadcast.{name}"), sent));
    }
    let shared: Vec<_> = whole().iter().map(|(name, ..)| mine(name).copy()).collect();
    let roots: Vec<_> = shared.iter().zip((0..me.world_size).cycle()).collect();
    group.broadcast_from(&roots).unwrap();
    for ((name, ..), tensor) in whole().into_iter().zip(shared) {
        out.push((format!("broadcast_from.{name}"), tensor));
    }
    for (name, _, kind) in parts() {
        let before = mine(name).copy();
        let sum = group.reduce_scatter(mine(name), Reduce::Sum).unwrap();
        assert!(mine(name).equal(&before), "{name}: the input of a reduce_scatter was changed");
        out.push((format!("reduce_scatter_sum.{name}"), sum));
        if kind != Kind::Int64 {
            out.push((format!("reduce_scatter_mean.{name}"), group.reduce_scatter(mine(name), Reduce::Mean).unwrap()));
        }
    }
    group.barrier().unwrap();
    out
}

/// Fails unless both have the same names, shapes, kinds and bits.
fn assert_same(ours: &Named, theirs: &Named, whose: &str) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, our) in ours {
        let their = &theirs[name];
        assert_eq!((our.size(), our.kind()), (their.size(), their.kind()), "{whose}: {name}");
        let error = (our.to_kind(Kind::Double) - their.to_kind(Kind::Double)).abs().max().double_value(&[]);
        assert!(our.equal(their), "{whose}: {name} is off by {error:e}");
    }
}

#[test]
fn collectives_equal_the_torch_distributed_reference() {
    let folder = shared_folder("torch_distributed");
    let inputs = |world_size: u32| folder.join(format!("inputs-{world_size}.safetensors"));
    for world_size in WORLD_SIZES {
        if !is_rank() {
            write_inputs(&inputs(world_size), world_size);
        }
        // A rank runs this for the first of the world sizes, whatever its own is.
        all_ranks_pass(NAME, world_size, |me| {
            let group = me.group("try-1", TIMEOUT);
            let out = results(me, &group, &read(&inputs(me.world_size)));
            let file = folder.join(format!("ours-{}-{}.safetensors", me.world_size, me.rank));
            Tensor::write_safetensors(&out, file).unwrap();
            group.leave(TIMEOUT).unwrap();
        });
    }
    run_script("collectives.py", &[&folder]);
    for world_size in WORLD_SIZES {
        let of = |whose: &str, rank: u32| read(&folder.join(format!("{whose}-{world_size}-{rank}.safetensors")));
        for rank in 0..world_size {
            assert_same(&of("ours", rank), &of("theirs", rank), &format!("rank {rank} of {world_size}"));
        }
        // The comparison can fail: with several ranks no sum and no part of another rank equals this one's.
        let (first, last) = (of("ours", 0), of("theirs", world_size - 1));
        let own = &read(&inputs(world_size))["f32.0"];
        assert_eq!(first["all_reduce_sum.f32"].equal(own), world_size == 1);
        assert_eq!(first["reduce_scatter_sum.parts_f32"].equal(&last["reduce_scatter_sum.parts_f32"]), world_size == 1);
    }
}
