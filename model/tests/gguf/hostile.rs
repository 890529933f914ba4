//! Files that are cut, lie about their sizes or hold what cannot be expressed: each gives an error that names the place, and
//! none makes the reader reserve what the file does not hold.

use std::path::Path;

use galapagos_model::gguf::GgufModel;

/// Builds a GGUF file by hand, so that every field can be wrong.
#[derive(Clone)]
struct Draft {
    magic: [u8; 4],
    version: u32,
    entries: Vec<(String, Vec<u8>)>,
    tensors: Vec<DraftTensor>,
    counts: Option<(u64, u64)>,
    data: usize,
}

#[derive(Clone)]
struct DraftTensor {
    name: String,
    dimensions: Vec<u64>,
    kind: u32,
    offset: u64,
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn value_u32(value: u32) -> Vec<u8> {
    [4u32.to_le_bytes(), value.to_le_bytes()].concat()
}

fn value_text(value: &str) -> Vec<u8> {
    [8u32.to_le_bytes().to_vec(), text(value)].concat()
}

fn tensor(name: &str, dimensions: &[u64], offset: u64) -> DraftTensor {
    DraftTensor { name: name.to_owned(), dimensions: dimensions.to_vec(), kind: 0, offset }
}

impl Draft {
    /// A header with two tensors, good as far as the reader of the format goes.
    fn good() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            entries: vec![
                ("general.architecture".into(), value_text("llama")),
                ("llama.block_count".into(), value_u32(1)),
            ],
            tensors: vec![tensor("a", &[4, 2], 0), tensor("b", &[8], 32)],
            counts: None,
            data: 64,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let counts = self.counts.unwrap_or((self.tensors.len() as u64, self.entries.len() as u64));
        let mut bytes = [&self.magic[..], &self.version.to_le_bytes()].concat();
        bytes.extend(counts.0.to_le_bytes());
        bytes.extend(counts.1.to_le_bytes());
        for (key, value) in &self.entries {
            bytes.extend(text(key));
            bytes.extend(value);
        }
        for tensor in &self.tensors {
            bytes.extend(text(&tensor.name));
            bytes.extend((tensor.dimensions.len() as u32).to_le_bytes());
            tensor.dimensions.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend(tensor.offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 0);
        bytes
    }

    fn error(&self) -> String {
        error_of(&self.bytes())
    }
}

fn error_of(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.gguf");
    std::fs::write(&path, bytes).unwrap();
    GgufModel::open(&path).expect_err("must be refused").to_string()
}

type Spoil = fn(&mut Draft);

#[test]
fn each_wrong_header_names_the_place_and_what_would_be_right() {
    let cases: [(&str, Spoil, &[&str]); 20] = [
        ("another format", |d| d.magic = *b"PK\x03\x04", &["no GGUF file"]),
        ("big-endian", |d| d.version = 3u32.swap_bytes(), &["big-endian"]),
        ("version 1", |d| d.version = 1, &["version 1", "2 and 3"]),
        ("tensor count", |d| d.counts = Some((u64::MAX, 2)), &["number of tensors", "bytes of the file follow"]),
        ("entry count", |d| d.counts = Some((2, 1 << 60)), &["metadata entries", "bytes of the file follow"]),
        ("twice", |d| d.entries.push(d.entries[0].clone()), &["general.architecture", "twice"]),
        ("value type", |d| d.entries[1].1 = 77u32.to_le_bytes().to_vec(), &["llama.block_count", "value type 77"]),
        (
            "text length",
            |d| d.entries[1].1 = [8u32.to_le_bytes().to_vec(), u64::MAX.to_le_bytes().to_vec()].concat(),
            &["llama.block_count", "bytes of the file follow"],
        ),
        ("array length", |d| d.entries[1].1 = array_head(4, 1 << 40), &["llama.block_count", "array elements"]),
        ("nested array", |d| d.entries[1].1 = array_head(9, 1), &["llama.block_count", "array of arrays"]),
        (
            "alignment",
            |d| d.entries.push(("general.alignment".into(), value_u32(24))),
            &["general.alignment", "power of two"],
        ),
        ("no dimensions", |d| d.tensors[1].dimensions.clear(), &["`b`", "0 dimensions"]),
        ("zero dimension", |d| d.tensors[1].dimensions = vec![0], &["`b`", "dimension of 0"]),
        ("huge", |d| d.tensors[1].dimensions = vec![1 << 30; 4], &["`b`", "address"]),
        ("format", |d| d.tensors[1].kind = 16, &["`b`", "IQ2_XXS", "Q4_K"]),
        ("partial block", |d| d.tensors[1].kind = 2, &["`b`", "rows of 8", "multiple of 32"]),
        ("misaligned", |d| d.tensors[1].offset = 33, &["`b`", "33", "alignment 32"]),
        ("outside", |d| d.tensors[1].offset = 96, &["`b`", "cut off or damaged"]),
        ("overflow", |d| d.tensors[1].offset = u64::MAX - 31, &["`b`", "cut off or damaged"]),
        ("overlap", |d| d.tensors[1].offset = 0, &["overlaps", "`a`"]),
    ];
    for (name, spoil, expected) in cases {
        let mut draft = Draft::good();
        spoil(&mut draft);
        let error = draft.error();
        for part in expected {
            assert!(error.contains(part), "{name}: {error:?} lacks {part:?}");
        }
    }
}

/// An array's beginning, of which nothing follows.
fn array_head(element: u32, count: u64) -> Vec<u8> {
    [9u32.to_le_bytes().to_vec(), element.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat()
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = Draft::good().bytes();
    for length in 0..bytes.len() {
        error_of(&bytes[..length]);
    }
}

#[test]
fn every_flipped_byte_is_read_without_a_panic() {
    let bytes = Draft::good().bytes();
    for at in 0..bytes.len() - 64 {
        for bit in [0, 3, 7] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            error_of(&bytes);
        }
    }
}

#[test]
fn what_the_folder_cannot_express_is_named() {
    let cases: [(&str, Spoil, &[&str]); 4] = [
        ("architecture", |d| d.entries[0].1 = value_text("mamba"), &["general.architecture", "mamba", "qwen3"]),
        (
            "unknown key",
            |d| d.entries.push(("llama.logit_scale".into(), value_u32(1))),
            &["llama.logit_scale", "not known"],
        ),
        ("experts", |d| d.entries.push(("llama.expert_count".into(), value_u32(8))), &["llama.expert_count", "8"]),
        ("another type", |d| d.entries[1].1 = value_text("1"), &["llama.embedding_length", "missing"]),
    ];
    for (name, spoil, expected) in cases {
        let mut draft = Draft::good();
        spoil(&mut draft);
        let error = draft.error();
        for part in expected {
            assert!(error.contains(part), "{name}: {error:?} lacks {part:?}");
        }
    }
}

#[test]
fn a_folder_and_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = GgufModel::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is not a file"), "{error}");
    let error = GgufModel::open(Path::new("/nonexistent.gguf")).unwrap_err().to_string();
    assert!(error.contains("/nonexistent.gguf"), "{error}");
}
