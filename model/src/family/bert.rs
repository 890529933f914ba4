//! BERT: an encoder that sees both ways, with learned positions and segment types, norms after each sum, and a pooler in front of the
//! classifier of whole sequences.

use galapagos_kernels::AttentionSpec;
use serde_json::{Map, Value};

use super::plan::{
    AttentionPlan, Bias, EmbeddingPlan, HeadPlan, LayerPlan, LinearPlan, MlpPlan, NormKind, NormPlan, Plan,
    ResidualNorms,
};
use super::{Definition, common};
use crate::config::{Activation, Fields};
use crate::{ConfigError, ModelConfig, ModelKind};

pub(super) const DEFINITION: Definition = Definition {
    model_type: "bert",
    class: "Bert",
    // Masked language models are no language models in our sense.
    language_model: "",
    trunk: "bert.",
    derived: &["embeddings.position_ids"],
    read,
    write,
    plan,
};

fn read(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    config.vocab_size = fields.size("vocab_size")?;
    config.hidden_size = fields.size("hidden_size")?;
    config.intermediate_size = fields.size("intermediate_size")?;
    config.num_hidden_layers = fields.size("num_hidden_layers")?;
    config.num_attention_heads = fields.size("num_attention_heads")?;
    config.num_key_value_heads = config.num_attention_heads;
    config.head_dim = fields.even_part("num_attention_heads", config.hidden_size, config.num_attention_heads)?;
    config.max_position_embeddings = fields.size("max_position_embeddings")?;
    config.type_vocab_size = fields.optional_size("type_vocab_size")?.unwrap_or(2);
    config.activation = Activation::read(fields, "hidden_act", Activation::Gelu)?;
    config.rms_norm_eps = fields.number("layer_norm_eps")?.unwrap_or(1e-12);
    config.initializer_range = fields.number("initializer_range")?.unwrap_or(0.02);
    (config.attention_bias, config.mlp_bias) = (true, true);
    fields.require_one_of("position_embedding_type", &[Value::from("absolute")])?;
    fields.require_one_of("is_decoder", &[Value::from(false)])?;
    fields.require_one_of("add_cross_attention", &[Value::from(false)])?;
    // Of the language-model head, which classifiers do not have.
    fields.present("tie_word_embeddings");
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    let entries = [
        ("vocab_size", Value::from(config.vocab_size)),
        ("hidden_size", config.hidden_size.into()),
        ("intermediate_size", config.intermediate_size.into()),
        ("num_hidden_layers", config.num_hidden_layers.into()),
        ("num_attention_heads", config.num_attention_heads.into()),
        ("max_position_embeddings", config.max_position_embeddings.into()),
        ("type_vocab_size", config.type_vocab_size.into()),
        ("hidden_act", config.activation.name().into()),
        ("layer_norm_eps", config.rms_norm_eps.into()),
        ("initializer_range", config.initializer_range.into()),
        ("hidden_dropout_prob", 0.0.into()),
        ("attention_probs_dropout_prob", 0.0.into()),
    ];
    map.extend(entries.map(|(key, value)| (key.to_owned(), value)));
}

fn plan(config: &ModelConfig) -> Plan {
    let table = |name: &str| format!("bert.embeddings.{name}_embeddings.weight");
    Plan {
        embedding: EmbeddingPlan {
            tokens: table("word"),
            vocabulary: config.vocab_size,
            hidden: config.hidden_size,
            positions: Some((table("position"), config.max_position_embeddings)),
            types: Some((table("token_type"), config.type_vocab_size)),
            scale: None,
            norm: Some(layer_norm(config, "bert.embeddings.LayerNorm".to_owned())),
            vision: None,
        },
        layers: (0..config.num_hidden_layers).map(|layer| self::layer(config, layer)).collect(),
        final_norm: None,
        head: head(config),
    }
}

fn layer(config: &ModelConfig, layer: usize) -> LayerPlan {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let module = |name: &str| format!("bert.encoder.layer.{layer}.{name}");
    let linear = |name: &str, inputs: usize, outputs: usize| LinearPlan {
        module: module(name),
        inputs,
        outputs,
        bias: Bias::Yes,
        transposed: false,
    };
    let norms = |name: &str| ResidualNorms { sum: Some(layer_norm(config, module(name))), ..ResidualNorms::default() };
    LayerPlan {
        attention: AttentionPlan {
            query_key_value: ["query", "key", "value"]
                .map(|name| linear(&format!("attention.self.{name}"), hidden, hidden))
                .to_vec(),
            output: linear("attention.output.dense", hidden, hidden),
            query_heads: config.num_attention_heads,
            key_heads: config.num_attention_heads,
            head_dim: config.head_dim,
            query_norm: None,
            key_norm: None,
            rotary: false,
            spec: AttentionSpec { scale: (1.0 / (config.head_dim as f64).sqrt()) as f32, soft_cap: None, window: None },
        },
        attention_norms: norms("attention.output.LayerNorm"),
        mlp: MlpPlan {
            gate: None,
            up: linear("intermediate.dense", hidden, inner),
            down: linear("output.dense", inner, hidden),
            activation: config.activation.into(),
        },
        mlp_norms: norms("output.LayerNorm"),
    }
}

fn layer_norm(config: &ModelConfig, module: String) -> NormPlan {
    NormPlan { module, width: config.hidden_size, kind: NormKind::Layer, eps: config.rms_norm_eps }
}

fn head(config: &ModelConfig) -> HeadPlan {
    let labels = config.label_count();
    let product = common::head_linear(config, "classifier", labels, Bias::Yes);
    match config.kind {
        ModelKind::TokenClassifier => HeadPlan::Labels(product),
        // `validate` refuses language models of this family.
        ModelKind::CausalLm | ModelKind::Scalar | ModelKind::SequenceClassifier => HeadPlan::Pooled {
            pooler: common::head_linear(config, "bert.pooler.dense", config.hidden_size, Bias::Yes),
            product,
        },
    }
}
