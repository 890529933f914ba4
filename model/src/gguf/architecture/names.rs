//! Tensor names of GGUF and of `transformers`, side by side.

/// The embedding's name in GGUF.
pub(super) const EMBEDDING: &str = "token_embd.weight";
/// The output projection's name in `transformers`; absent when the embedding serves.
pub(super) const HEAD: &str = "lm_head.weight";

/// What a tensor is, as far as its values differ between the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The same in both.
    Plain,
    /// Rows of query heads, interleaved for GGUF's rotary kernel.
    Queries,
    /// Rows of key heads, interleaved likewise.
    Keys,
    /// A norm stored as the factor where `transformers` adds 1.
    NormFactor,
    /// A weight that `transformers` stores as [inputs, outputs].
    Transposed,
}

type Entry = (&'static str, &'static str, Role);

/// Names outside and inside the layers; those inside without their `blk.N.` and, in `transformers`, `{layers}N.`.
pub(super) struct Names {
    layers: &'static str,
    outside: &'static [Entry],
    inside: &'static [Entry],
}

const EMBEDDING_ENTRY: Entry = (EMBEDDING, "model.embed_tokens.weight", Role::Plain);
const HEAD_ENTRY: Entry = ("output.weight", HEAD, Role::Plain);
const OUTSIDE: [Entry; 3] = [EMBEDDING_ENTRY, ("output_norm.weight", "model.norm.weight", Role::Plain), HEAD_ENTRY];

const Q: (&str, &str) = ("attn_q.weight", "self_attn.q_proj.weight");
const K: (&str, &str) = ("attn_k.weight", "self_attn.k_proj.weight");
const V: Entry = ("attn_v.weight", "self_attn.v_proj.weight", Role::Plain);
const O: Entry = ("attn_output.weight", "self_attn.o_proj.weight", Role::Plain);
const GATE: Entry = ("ffn_gate.weight", "mlp.gate_proj.weight", Role::Plain);
const UP: Entry = ("ffn_up.weight", "mlp.up_proj.weight", Role::Plain);
const DOWN: Entry = ("ffn_down.weight", "mlp.down_proj.weight", Role::Plain);
const ATTENTION_NORM: (&str, &str) = ("attn_norm.weight", "input_layernorm.weight");
const PRE_NORMS: [Entry; 2] = [
    (ATTENTION_NORM.0, ATTENTION_NORM.1, Role::Plain),
    ("ffn_norm.weight", "post_attention_layernorm.weight", Role::Plain),
];

const LAYERS: &str = "model.layers.";

pub(super) const LLAMA: Names = Names {
    layers: LAYERS,
    outside: &OUTSIDE,
    inside: &[PRE_NORMS[0], PRE_NORMS[1], (Q.0, Q.1, Role::Queries), (K.0, K.1, Role::Keys), V, O, GATE, UP, DOWN],
};

pub(super) const QWEN2: Names = Names {
    layers: LAYERS,
    outside: &OUTSIDE,
    inside: &[
        PRE_NORMS[0],
        PRE_NORMS[1],
        (Q.0, Q.1, Role::Plain),
        ("attn_q.bias", "self_attn.q_proj.bias", Role::Plain),
        (K.0, K.1, Role::Plain),
        ("attn_k.bias", "self_attn.k_proj.bias", Role::Plain),
        V,
        ("attn_v.bias", "self_attn.v_proj.bias", Role::Plain),
        O,
        GATE,
        UP,
        DOWN,
    ],
};

pub(super) const QWEN3: Names = Names {
    layers: LAYERS,
    outside: &OUTSIDE,
    inside: &[
        PRE_NORMS[0],
        PRE_NORMS[1],
        (Q.0, Q.1, Role::Plain),
        ("attn_q_norm.weight", "self_attn.q_norm.weight", Role::Plain),
        (K.0, K.1, Role::Plain),
        ("attn_k_norm.weight", "self_attn.k_norm.weight", Role::Plain),
        V,
        O,
        GATE,
        UP,
        DOWN,
    ],
};

pub(super) const GEMMA2: Names = Names {
    layers: LAYERS,
    outside: &[EMBEDDING_ENTRY, ("output_norm.weight", "model.norm.weight", Role::NormFactor), HEAD_ENTRY],
    inside: &[
        (ATTENTION_NORM.0, ATTENTION_NORM.1, Role::NormFactor),
        ("post_attention_norm.weight", "post_attention_layernorm.weight", Role::NormFactor),
        ("ffn_norm.weight", "pre_feedforward_layernorm.weight", Role::NormFactor),
        ("post_ffw_norm.weight", "post_feedforward_layernorm.weight", Role::NormFactor),
        (Q.0, Q.1, Role::Plain),
        (K.0, K.1, Role::Plain),
        V,
        O,
        GATE,
        UP,
        DOWN,
    ],
};

pub(super) const GPT2: Names = Names {
    layers: "transformer.h.",
    outside: &[
        (EMBEDDING, "transformer.wte.weight", Role::Plain),
        ("position_embd.weight", "transformer.wpe.weight", Role::Plain),
        ("output_norm.weight", "transformer.ln_f.weight", Role::Plain),
        ("output_norm.bias", "transformer.ln_f.bias", Role::Plain),
        HEAD_ENTRY,
    ],
    inside: &[
        ("attn_norm.weight", "ln_1.weight", Role::Plain),
        ("attn_norm.bias", "ln_1.bias", Role::Plain),
        ("attn_qkv.weight", "attn.c_attn.weight", Role::Transposed),
        ("attn_qkv.bias", "attn.c_attn.bias", Role::Plain),
        ("attn_output.weight", "attn.c_proj.weight", Role::Transposed),
        ("attn_output.bias", "attn.c_proj.bias", Role::Plain),
        ("ffn_norm.weight", "ln_2.weight", Role::Plain),
        ("ffn_norm.bias", "ln_2.bias", Role::Plain),
        ("ffn_up.weight", "mlp.c_fc.weight", Role::Transposed),
        ("ffn_up.bias", "mlp.c_fc.bias", Role::Plain),
        ("ffn_down.weight", "mlp.c_proj.weight", Role::Transposed),
        ("ffn_down.bias", "mlp.c_proj.bias", Role::Plain),
    ],
};

impl Names {
    /// The name in `transformers` of the tensor that GGUF calls `name`, in a model of that many layers.
    pub(super) fn find(&self, name: &str, layers: usize) -> Option<(String, Role)> {
        if let Some((_, found, role)) = self.outside.iter().find(|entry| entry.0 == name) {
            return Some(((*found).to_owned(), *role));
        }
        let (number, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let layer = number.parse::<usize>().ok().filter(|layer| *layer < layers && layer.to_string() == number)?;
        let (_, found, role) = self.inside.iter().find(|entry| entry.0 == rest)?;
        Some((format!("{}{layer}.{found}", self.layers), *role))
    }

    /// GGUF's names of all tensors that a model of that many layers must have.
    pub(super) fn required(&self, layers: usize) -> impl Iterator<Item = String> {
        let outside = self.outside.iter().filter(|entry| entry.1 != HEAD).map(|entry| entry.0.to_owned());
        let inside =
            (0..layers).flat_map(|layer| self.inside.iter().map(move |entry| format!("blk.{layer}.{}", entry.0)));
        outside.chain(inside)
    }
}
