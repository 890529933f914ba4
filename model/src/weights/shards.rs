//! Weights out: one file, or several of bounded size with an index, named as Hugging Face names them.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::stored::{INDEX, SINGLE};
use super::{Parameters, WeightsError, safetensors_file};
use crate::files::{file_error, write_atomically};

/// Writes `parameters` to `folder`: as one file, unless that would have more than `max_bytes` of tensors. Files of an older model
/// there that this one does not replace are removed.
pub(crate) fn write(folder: &Path, parameters: &Parameters, max_bytes: Option<u64>) -> Result<(), WeightsError> {
    let shards = split(parameters, max_bytes);
    let names = shard_names(shards.len());
    for stale in weight_files(folder)?.into_iter().filter(|name| !names.contains(name)) {
        let path = folder.join(stale);
        std::fs::remove_file(&path).map_err(file_error::<WeightsError>("removing", &path))?;
    }
    for (shard, name) in shards.iter().zip(&names) {
        safetensors_file::write(&folder.join(name), shard)?;
    }
    if names.len() > 1 { write_index(&folder.join(INDEX), &shards, &names) } else { Ok(()) }
}

/// Tensors in name order, in runs of at most `max_bytes`; a tensor that is larger has a run of its own.
fn split(parameters: &Parameters, max_bytes: Option<u64>) -> Vec<Parameters> {
    let most = max_bytes.unwrap_or(u64::MAX);
    let (mut shards, mut held) = (vec![Parameters::new()], 0);
    for (name, tensor) in parameters.iter() {
        let bytes = bytes_of(tensor);
        if held > 0 && held + bytes > most {
            shards.push(Parameters::new());
            held = 0;
        }
        held += bytes;
        if let Some(last) = shards.last_mut() {
            last.insert(name, tensor.shallow_clone());
        }
    }
    shards
}

fn bytes_of(tensor: &tch::Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

fn shard_names(count: usize) -> Vec<String> {
    if count == 1 {
        return vec![SINGLE.to_owned()];
    }
    (1..=count).map(|number| format!("model-{number:05}-of-{count:05}.safetensors")).collect()
}

/// Names of the weights' files in a folder, index included.
fn weight_files(folder: &Path) -> Result<Vec<String>, WeightsError> {
    let io = file_error::<WeightsError>("listing", folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(&io)? {
        let name = entry.map_err(&io)?.file_name().to_string_lossy().into_owned();
        let is_shard = name.starts_with("model-") && name.contains("-of-") && name.ends_with(".safetensors");
        if is_shard || name == SINGLE || name == INDEX {
            found.push(name);
        }
    }
    Ok(found)
}

fn write_index(path: &Path, shards: &[Parameters], names: &[String]) -> Result<(), WeightsError> {
    let (mut weight_map, mut total_size) = (Map::new(), 0);
    for (shard, file) in shards.iter().zip(names) {
        for (name, tensor) in shard.iter() {
            total_size += bytes_of(tensor);
            weight_map.insert(name.to_owned(), Value::from(file.as_str()));
        }
    }
    let index = json!({"metadata": {"total_size": total_size}, "weight_map": weight_map});
    write_atomically(path, |file| file.write_all(format!("{index:#}\n").as_bytes()))
        .map_err(file_error("writing", path))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    fn parameters(sizes: &[(&str, i64)]) -> Parameters {
        sizes
            .iter()
            .map(|(name, size)| ((*name).to_owned(), Tensor::zeros([*size], (Kind::Float, Device::Cpu))))
            .collect()
    }

    #[test]
    fn shards_hold_at_most_the_limit_and_large_tensors_stand_alone() {
        let all = parameters(&[("a", 2), ("b", 2), ("c", 9), ("d", 1), ("e", 1)]);
        let names = |limit| -> Vec<Vec<String>> {
            let names = |shard: &Parameters| shard.iter().map(|(name, _)| name.to_owned()).collect();
            split(&all, limit).iter().map(names).collect()
        };
        assert_eq!(names(Some(16)), [vec!["a", "b"], vec!["c"], vec!["d", "e"]]);
        assert_eq!(names(Some(1)).len(), 5);
        assert_eq!(names(None).len(), 1);
        assert_eq!(shard_names(3)[1], "model-00002-of-00003.safetensors");
    }
}
