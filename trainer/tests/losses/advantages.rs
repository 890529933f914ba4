//! Advantages against NumPy, in f64.

use galapagos_trainer::advantage::{
    Baseline, End, Gae, Moments, Samples, Scale, Whiten, advantages, gae, turn_returns, whiten,
};

use super::{BTreeMap, Tensor, python};

struct Reference(BTreeMap<String, Tensor>);

impl Reference {
    fn floats(&self, name: &str) -> Vec<f64> {
        Vec::try_from(&self.0[name]).unwrap()
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        Vec::try_from(&self.0[name]).unwrap()
    }

    fn check(&self, name: &str, found: &[f64]) {
        let wanted = self.floats(name);
        assert_eq!(found.len(), wanted.len(), "{name}");
        assert!(wanted.iter().any(|value| value.abs() > 0.1), "{name} says nothing");
        for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            assert!((found - wanted).abs() < 1e-9 * (1.0 + wanted.abs()), "{name} {index}: {found} is not {wanted}");
        }
    }
}

#[test]
fn advantages_equal_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    python("advantages.py", folder.path());
    let path = folder.path().join("advantages.safetensors");
    let reference = Reference(Tensor::read_safetensors(path).unwrap().into_iter().collect());
    let rewards = reference.floats("rewards");
    let groups: Vec<usize> = reference.integers("groups").into_iter().map(|group| group.try_into().unwrap()).collect();
    let counted: Vec<bool> = reference.integers("counted").into_iter().map(|counts| counts == 1).collect();
    let given = reference.floats("given");
    let eps = reference.floats("eps")[0];
    let moments = Moments::of(&rewards, Some(&counted)).unwrap();

    let samples = Samples { rewards: &rewards, groups: &groups, counted: Some(&counted) };
    let baselines = [
        ("none", Baseline::None),
        ("mean", Baseline::GroupMean),
        ("loo", Baseline::LeaveOneOut),
        ("given", Baseline::Given(&given)),
    ];
    let scales = [
        ("none", Scale::None),
        ("group", Scale::GroupStd { eps }),
        ("batch", Scale::BatchStd { rewards: moments, eps }),
    ];
    for (baseline_name, baseline) in baselines {
        for (scale_name, scale) in scales {
            let found = advantages(samples, baseline, scale).unwrap();
            reference.check(&format!("{baseline_name}.{scale_name}"), &found.values);
            assert!(found.lone >= 1 && found.flat >= 1);
        }
    }

    let (steps, values) = (reference.floats("steps"), reference.floats("values"));
    let [last, gamma, lambda]: [f64; 3] = reference.floats("gae").try_into().unwrap();
    for (name, end) in [("terminated", End::Terminated), ("truncated", End::Truncated(last))] {
        let (advantages, returns) = gae(&steps, &values, end, Gae { gamma, lambda }).unwrap();
        reference.check(&format!("advantages.{name}"), &advantages);
        reference.check(&format!("returns.{name}"), &returns);
    }
    reference.check("turns", &turn_returns(&steps, gamma).unwrap());

    for (name, centre) in [("whitened", true), ("scaled", false)] {
        let found = whiten(&rewards, Some(&counted), moments, Whiten { centre, eps }).unwrap();
        reference.check(name, &found);
    }
}
