//! Every number format, on random blocks, equals the `gguf` package's own dequantiser to the bit.

use galapagos_model::gguf::{GgufModel, StoredType};
use serde_json::json;
use tch::Kind;

use crate::python::{ask, import, tensors};

const KINDS: [&str; 13] =
    ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"];

#[test]
fn reference_every_format_gives_the_values_of_the_gguf_package() {
    let folder = tempfile::tempdir().unwrap();
    let path = |kind: &str, end: &str| folder.path().join(format!("{kind}.{end}"));
    let requests = KINDS.iter().enumerate().map(|(seed, kind)| {
        let (file, out) = (path(kind, "gguf"), path(kind, "values"));
        json!({"do": "quantised", "kind": kind, "rows": 260, "seed": seed, "file": file, "out": out})
    });
    ask(&requests.collect::<Vec<_>>());
    for kind in KINDS {
        let file = path(kind, "gguf");
        assert_eq!(
            GgufModel::open(&file).unwrap().summary().types.get(kind).copied(),
            Some(if kind == "F32" { 11 } else { 1 })
        );
        import(&file, &path(kind, "folder"), StoredType::F32);
        let imported = tensors(&path(kind, "folder").join("model.safetensors"));
        let expected = &tensors(&path(kind, "values"))["values"];
        let found = &imported["model.embed_tokens.weight"];
        assert!(expected.abs().max().double_value(&[]) > 0.5, "{kind}: the values are not trivial");
        assert!(found.view_dtype(Kind::Int).equal(&expected.view_dtype(Kind::Int)), "{kind}");
    }
}
