//! A small network whose gradients the tests compare: three layers, GELU, mean squared error. The same network in PyTorch
//! is `tests/reference/mlp_gradients.py`.

use std::path::Path;

use tch::{Device, Kind, Tensor};

const WIDTHS: [i64; 4] = [12, 40, 24, 6];

pub struct Mlp {
    pub params: Vec<Tensor>,
}

/// Inputs `[rows, 12]` and targets `[rows, 6]`.
pub struct Batch {
    pub x: Tensor,
    pub y: Tensor,
}

impl Batch {
    pub fn rows(&self, from: i64, count: i64) -> Batch {
        Batch { x: self.x.narrow(0, from, count), y: self.y.narrow(0, from, count) }
    }
}

impl Mlp {
    /// Writes random parameters and a random batch of `rows` to `file`.
    pub fn write_problem(file: &Path, rows: i64, seed: i64) {
        tch::manual_seed(seed);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let mut named =
            vec![("x".to_owned(), random(&[rows, WIDTHS[0]])), ("y".to_owned(), random(&[rows, WIDTHS[3]]))];
        for (layer, pair) in WIDTHS.windows(2).enumerate() {
            named.push((format!("w{layer}"), random(&[pair[1], pair[0]]) * 0.3));
            named.push((format!("b{layer}"), random(&[pair[1]]) * 0.1));
        }
        Tensor::write_safetensors(&named, file).unwrap();
    }

    pub fn read_problem(file: &Path) -> (Mlp, Batch) {
        let named: std::collections::BTreeMap<_, _> = Tensor::read_safetensors(file).unwrap().into_iter().collect();
        let names = (0..3).flat_map(|layer| [format!("w{layer}"), format!("b{layer}")]);
        let params = names.map(|name| named[&name].copy().set_requires_grad(true)).collect();
        (Mlp { params }, Batch { x: named["x"].copy(), y: named["y"].copy() })
    }

    /// The mean over rows and outputs of the squared error.
    pub fn loss(&self, batch: &Batch) -> Tensor {
        let mut h = batch.x.shallow_clone();
        for (layer, pair) in self.params.chunks(2).enumerate() {
            h = h.linear(&pair[0], Some(&pair[1]));
            if layer < 2 {
                h = h.gelu("none");
            }
        }
        (h - &batch.y).square().mean(Kind::Float)
    }

    pub fn grads(&self) -> Vec<Tensor> {
        self.params.iter().map(|param| param.grad().copy()).collect()
    }
}

/// The largest difference, relative to the largest value of the reference, over all tensors.
pub fn relative_error(ours: &[Tensor], reference: &[Tensor]) -> f64 {
    assert_eq!(ours.len(), reference.len());
    let one = |(a, b): (&Tensor, &Tensor)| {
        let scale = b.abs().max().double_value(&[]);
        assert!(scale > 1e-6, "a gradient of nothing compares to nothing");
        (a - b).abs().max().double_value(&[]) / scale
    };
    ours.iter().zip(reference).map(one).fold(0.0, f64::max)
}

pub fn write_grads(file: &Path, grads: &[Tensor]) {
    let named: Vec<_> = grads.iter().enumerate().map(|(i, grad)| (format!("g{i}"), grad.shallow_clone())).collect();
    Tensor::write_safetensors(&named, file).unwrap();
}

pub fn read_grads(file: &Path) -> Vec<Tensor> {
    let mut named = Tensor::read_safetensors(file).unwrap();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, grad)| grad).collect()
}
