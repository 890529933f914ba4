//! A running mean of weights (Polyak & Juditsky, 1992), exponentially weighted: often better to evaluate than the
//! weights of any one step. Follows the weights after each update; never changes them.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

use super::error::{OptimError, check, tensor};
use super::state::check_tensor;

/// An exponential moving average of named weights. It starts as a copy of them, so it is never biased towards 0.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    weights: Vec<Tensor>,
    means: Vec<(String, Tensor)>,
}

impl Ema {
    /// Copies `weights` and takes second handles on them. `decay` in 0..1 is what an update keeps of the mean, about
    /// `1 - 1 / (number of steps to average over)`.
    ///
    /// # Errors
    /// [`OptimError::Setting`] for a `decay` out of range; [`OptimError::Tensor`] if there is no memory for the copies.
    pub fn new(weights: &[(String, Tensor)], decay: f64) -> Result<Self, OptimError> {
        check("decay", decay, (0.0..1.0).contains(&decay), "at least 0 and below 1")?;
        let copy = |(name, weight): &(String, Tensor)| {
            let copied = || -> Result<Tensor, TchError> {
                let mut copied = weight.f_detach()?.f_empty_like()?;
                copied.f_copy_(&weight.f_detach()?)?;
                Ok(copied)
            };
            Ok((name.clone(), copied().map_err(tensor(format!("copy `{name}`")))?))
        };
        Ok(Self {
            decay,
            weights: weights.iter().map(|(_, weight)| weight.shallow_clone()).collect(),
            means: weights.iter().map(copy).collect::<Result<_, _>>()?,
        })
    }

    /// Moves `means` themselves, which hold any numbers at first: one for each of `weights`, in their order. `decay` as in [`Ema::new`].
    ///
    /// # Errors
    /// [`OptimError::Setting`] for a `decay` out of range.
    pub fn moving(means: Vec<(String, Tensor)>, weights: &[(String, Tensor)], decay: f64) -> Result<Self, OptimError> {
        check("decay", decay, (0.0..1.0).contains(&decay), "at least 0 and below 1")?;
        let weights = weights.iter().map(|(_, weight)| weight.shallow_clone()).collect();
        Ok(Self { decay, weights, means })
    }

    /// Moves each mean towards the weight as it is now: `mean = decay * mean + (1 - decay) * weight`.
    ///
    /// # Errors
    /// [`OptimError::Tensor`] with what libtorch says.
    pub fn update(&mut self) -> Result<(), OptimError> {
        for ((name, mean), weight) in self.means.iter_mut().zip(&self.weights) {
            let moved = tch::no_grad(|| mean.f_lerp_(weight, 1.0 - self.decay));
            let _ = moved.map_err(tensor(format!("average `{name}`")))?;
        }
        Ok(())
    }

    /// The means, named as the weights and in their order: what to evaluate or publish, and the state to save.
    pub fn tensors(&self) -> &[(String, Tensor)] {
        &self.means
    }

    /// Takes over saved [`Ema::tensors`], which are copied.
    ///
    /// # Errors
    /// Names the first tensor that is missing, or not f32, of the weight's shape and finite, or the first that belongs
    /// to no weight. The means are then as they were.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<(), OptimError> {
        let known = |name: &&String| self.means.iter().any(|(own, _)| own == *name);
        if let Some(name) = state.keys().find(|name| !known(name)) {
            return Err(OptimError::UnknownState { name: name.clone() });
        }
        for (name, mean) in &self.means {
            check_tensor(state, name, &mean.size())?;
        }
        for (name, mean) in &mut self.means {
            if let Some(saved) = state.get(name) {
                tch::no_grad(|| mean.f_copy_(saved)).map_err(tensor(format!("copy `{name}`")))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Vec<(String, Tensor)> {
        vec![("w".to_owned(), Tensor::from_slice(&[1.0f32, 2.0]).set_requires_grad(true))]
    }

    fn values(ema: &Ema) -> Vec<f32> {
        Vec::try_from(&ema.tensors()[0].1).unwrap()
    }

    #[test]
    fn it_starts_as_a_copy_and_follows() {
        let weights = weights();
        let mut ema = Ema::new(&weights, 0.75).unwrap();
        ema.update().unwrap();
        assert_eq!(values(&ema), [1.0, 2.0]);
        let _ = weights[0].1.detach().fill_(5.0);
        assert_eq!(values(&ema), [1.0, 2.0]);
        ema.update().unwrap();
        assert_eq!(values(&ema), [2.0, 2.75]);
    }

    #[test]
    fn it_can_move_what_others_hold() {
        let weights = weights();
        let held = Tensor::from_slice(&[5.0f32, 6.0]);
        let mut ema = Ema::moving(vec![("w".to_owned(), held.shallow_clone())], &weights, 0.75).unwrap();
        ema.update().unwrap();
        assert_eq!(Vec::<f32>::try_from(&held).unwrap(), [4.0, 5.0]);
        assert!(Ema::moving(Vec::new(), &weights, 1.0).is_err());
    }

    #[test]
    fn its_state_goes_out_and_in() {
        let weights = weights();
        let mut ema = Ema::new(&weights, 0.5).unwrap();
        let state = |values: &[f32]| BTreeMap::from([("w".to_owned(), Tensor::from_slice(values))]);
        ema.restore(&state(&[8.0, 9.0])).unwrap();
        assert_eq!(values(&ema), [8.0, 9.0]);
        let refused = |ema: &mut Ema, state: &BTreeMap<String, Tensor>| ema.restore(state).unwrap_err().to_string();
        assert!(refused(&mut ema, &BTreeMap::new()).contains("`w` is missing"));
        assert!(refused(&mut ema, &state(&[1.0])).contains("has shape [1], but its weight has [2]"));
        assert!(refused(&mut ema, &state(&[1.0, f32::NAN])).contains("not finite"));
        let mut more = state(&[1.0, 1.0]);
        more.insert("v".to_owned(), Tensor::from_slice(&[1.0f32]));
        assert!(refused(&mut ema, &more).contains("`v` belongs to no weight"));
        assert_eq!(values(&ema), [8.0, 9.0]);
        assert!(Ema::new(&weights, 1.0).is_err());
    }
}
