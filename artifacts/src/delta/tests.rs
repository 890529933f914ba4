//! Deltas round-trip to the byte for all kinds of files, and refuse what is damaged or made for another base.

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;

use super::planes::BLOCK_BYTES;
use super::*;

/// A tensor of a test's file: its place in the list of names, dtype, shape, and the byte its numbers start from.
type Sketch = (u8, &'static str, Vec<u64>, u8);

pub(crate) fn write(path: &Path, tensors: &[(String, &str, Vec<u64>, Vec<u8>)]) {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), serde_json::json!({ "format": "pt" }));
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let from = data.len();
        data.extend_from_slice(bytes);
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [from, data.len()] });
        header.insert(name.clone(), entry);
    }
    // The reference implementation pads the header with spaces; a rebuilt file has to have them too.
    let json = format!("{}   ", serde_json::Value::Object(header));
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(json.as_bytes());
    file.extend_from_slice(&data);
    std::fs::write(path, file).unwrap();
}

fn element(dtype: &str) -> u64 {
    match dtype {
        "F64" | "I64" => 8,
        "F32" => 4,
        "BF16" => 2,
        _ => 1,
    }
}

/// Bytes that look random but start from `start`; `touched` of 256 are changed.
pub(crate) fn numbers(length: usize, start: u8, touched: u8) -> Vec<u8> {
    let mut state = u64::from(start) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length)
        .map(|_| (next(), next(), next()))
        .map(|(byte, dice, new)| if dice < touched { new } else { byte })
        .collect()
}

fn file(at: &Path, name: &str, sketch: &[Sketch], touched: u8) -> PathBuf {
    let mut tensors = std::collections::BTreeMap::new();
    for (name, dtype, shape, start) in sketch {
        let length = shape.iter().product::<u64>() * element(dtype);
        let bytes = numbers(length as usize, *start, touched);
        tensors.insert(*name, (format!("layer.{name}"), *dtype, shape.clone(), bytes));
    }
    let path = at.join(name);
    write(&path, &tensors.into_values().collect::<Vec<_>>());
    path
}

fn sketch() -> impl Strategy<Value = Vec<Sketch>> {
    let dtype = prop_oneof![Just("F32"), Just("BF16"), Just("I64"), Just("F64"), Just("U8"), Just("F8_E4M3")];
    vec((0u8..6, dtype, vec(0u64..40, 0..3), 0u8..3), 0..6)
}

fn encoded(child: &Path, base: &Path) -> (Vec<u8>, Encoded) {
    let mut delta = Vec::new();
    let keep = |piece: &mut Vec<u8>| {
        delta.append(piece);
        Ok(())
    };
    let encoded = encode(child, base, u64::MAX, keep).unwrap().unwrap();
    assert_eq!(encoded.delta_bytes, delta.len() as u64);
    (delta, encoded)
}

fn decoded(delta: &[u8], whole_bytes: u64, base: &Path) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    let digest = decode(&mut &*delta, whole_bytes, base, &mut out)?;
    assert_eq!(digest, galapagos_domain::ids::Digest::of(&out));
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_pair_of_files_round_trips(base in sketch(), child in sketch(), touched in any::<u8>()) {
        let at = tempfile::tempdir().unwrap();
        let base = file(at.path(), "base", &base, 0);
        let child = file(at.path(), "child", &child, touched);
        let whole = std::fs::read(&child).unwrap();
        let (delta, encoded) = encoded(&child, &base);
        prop_assert_eq!(encoded.digest, galapagos_domain::ids::Digest::of(&whole));
        prop_assert_eq!(encoded.whole_bytes, whole.len() as u64);
        prop_assert_eq!(decoded(&delta, encoded.whole_bytes, &base).unwrap(), whole);
    }

    #[test]
    fn a_damaged_delta_ends_in_an_error_and_never_in_a_panic(place in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
        let at = tempfile::tempdir().unwrap();
        let tensors = [(0, "F32", vec![30, 20], 1), (1, "BF16", vec![77], 2), (2, "U8", vec![9], 0)];
        let base = file(at.path(), "base", &tensors[..2], 0);
        let child = file(at.path(), "child", &tensors, 40);
        let whole = std::fs::read(&child).unwrap();
        let (mut delta, encoded) = encoded(&child, &base);
        let place = place.index(delta.len());
        if cut {
            delta.truncate(place);
        } else {
            delta[place] ^= 1 << bit;
        }
        match decoded(&delta, encoded.whole_bytes, &base) {
            Err(Problem::Delta { .. } | Problem::Base { .. }) => {}
            Err(other) => prop_assert!(false, "{other:?}"),
            // Whether it is the right file is for the digest to say: zstd has bits that no one reads.
            Ok(file) => prop_assert!(!cut && file.len() == whole.len(), "a delta that ends early gave a file"),
        }
    }
}

#[test]
fn blocks_of_a_large_tensor_are_coded_one_by_one() {
    let at = tempfile::tempdir().unwrap();
    let count = (BLOCK_BYTES / 4 * 2 + 5) as u64;
    let base = file(at.path(), "base", &[(0, "F32", vec![count], 1)], 0);
    let mut bytes = std::fs::read(&base).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 255;
    let child = at.path().join("child");
    std::fs::write(&child, &bytes).unwrap();
    let (delta, encoded) = encoded(&child, &base);
    assert!(delta.len() < 1000, "two blocks are the same: {} bytes", delta.len());
    assert_eq!(decoded(&delta, encoded.whole_bytes, &base).unwrap(), bytes);
}

#[test]
fn small_updates_of_floats_shrink_and_a_limit_is_kept() {
    let at = tempfile::tempdir().unwrap();
    let weights: Vec<f32> = (0..50_000).map(|i| (i as f32 * 0.7).sin() * 0.05).collect();
    let updated: Vec<f32> = weights.iter().enumerate().map(|(i, w)| w + 1e-6 * (i as f32 * 1.3).cos()).collect();
    let bytes = |numbers: &[f32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let (base, child) = (at.path().join("base"), at.path().join("child"));
    write(&base, &[("w".to_owned(), "F32", vec![50_000], bytes(&weights))]);
    write(&child, &[("w".to_owned(), "F32", vec![50_000], bytes(&updated))]);
    let (delta, encoded) = encoded(&child, &base);
    assert!(encoded.delta_bytes * 2 < encoded.whole_bytes, "{encoded:?}");
    assert_eq!(decoded(&delta, encoded.whole_bytes, &base).unwrap(), std::fs::read(&child).unwrap());
    let limit = encoded.delta_bytes - 1;
    assert_eq!(encode(&child, &base, limit, |_| Ok(())).unwrap(), None);
}

#[test]
fn what_is_no_safetensors_file_has_no_delta() {
    let at = tempfile::tempdir().unwrap();
    let good = file(at.path(), "good", &[(0, "F32", vec![3], 1)], 0);
    let bytes = std::fs::read(&good).unwrap();
    let bad = at.path().join("bad");
    for content in [&b"short"[..], &[255; 64], &bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat()] {
        std::fs::write(&bad, content).unwrap();
        for (child, base) in [(&bad, &good), (&good, &bad)] {
            let refused = encode(child, base, u64::MAX, |_| Ok(()));
            assert!(matches!(&refused, Err(Problem::Layout { path, .. }) if *path == bad), "{refused:?}");
        }
    }
}
