//! The real SmolLM2 file, imported here, against the folder that `scripts/convert_smollm2.py` made of it with the `gguf`
//! package: the same weights to the bit, the same configuration, the same token ids.

use galapagos_model::gguf::{GgufModel, StoredType};
use galapagos_model::{ModelConfig, ModelFolder, weights_digest};
use tch::Device;

use crate::python::{cache, import};
use crate::texts::nasty_texts;

const FILE: &str = "gguf/SmolLM2-135M-Instruct.Q4_1.gguf";

#[test]
fn smollm2_is_imported_as_the_python_reference_converts_it() {
    let file = cache().join(FILE);
    assert!(file.is_file(), "{} is missing; run `make setup`", file.display());
    let models = std::env::var_os("GALAPAGOS_MODELS").map_or_else(|| cache().join("models"), Into::into);
    let reference = ModelFolder::open(&models.join("smollm2-135m")).unwrap_or_else(|e| panic!("{e}; run `make setup`"));
    let target = tempfile::tempdir().unwrap();
    let folder = target.path().join("imported");
    import(&file, &folder, StoredType::F32);
    let imported = ModelFolder::open(&folder).unwrap();

    // How random weights are drawn is not in the file.
    let initializer_range = reference.config().initializer_range;
    assert_eq!(*reference.config(), ModelConfig { initializer_range, ..imported.config().clone() });
    let digest = |folder: &ModelFolder| weights_digest(folder.load(Device::Cpu).unwrap().parameters()).unwrap();
    assert_eq!(digest(&imported), digest(&reference), "weights differ");

    let (ours, theirs) = (imported.tokenizer(), reference.tokenizer());
    assert_eq!((ours.bos(), ours.eos(), ours.pad()), (theirs.bos(), theirs.eos(), theirs.pad()));
    let conversation = [galapagos_model::ChatMessage::new("user", "Hi 123 <|im_end|> there")];
    assert_eq!(ours.encode_chat(&conversation, true).unwrap(), theirs.encode_chat(&conversation, true).unwrap());
    for text in nasty_texts(400) {
        let ids = theirs.encode(&text).unwrap();
        assert_eq!(ours.encode(&text).unwrap(), ids, "{text:?}");
        assert_eq!(ours.decode_with_special(&ids).unwrap(), theirs.decode_with_special(&ids).unwrap(), "{text:?}");
    }
    let summary = GgufModel::open(&file).unwrap().summary();
    assert_eq!(
        (summary.parameters, summary.tokens, summary.licence.as_deref()),
        (134_515_008, 49152, Some("apache-2.0"))
    );
    assert_eq!(summary.types, [("F32", 61), ("Q4_1", 210), ("Q8_0", 1)].into());
}
