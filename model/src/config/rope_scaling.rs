//! Scaling of the rotary embeddings for long contexts, as `rope_parameters` (transformers 5) or `rope_scaling` and
//! `rope_theta` (4) say. What the kinds do to the frequencies stands in `blocks/rope.rs`.

use serde_json::{Map, Value};

use super::{ConfigError, Fields, invalid, unsupported};

/// How rotary frequencies are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// All divided by `factor`.
    Linear {
        /// At least 1.
        factor: f64,
    },
    /// "Dynamic NTK": unscaled up to `max_position_embeddings`, beyond which the base grows with the sequence. Longer sequences
    /// are refused here, because every rotation in them would depend on the whole length.
    Dynamic {
        /// At least 1.
        factor: f64,
    },
    /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, a ramp between.
    Llama3 {
        /// At least 1.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are scaled wholly.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of pretraining.
        original: usize,
    },
    /// YaRN (arXiv 2309.00071).
    Yarn {
        /// At least 1.
        factor: f64,
        /// Context length of pretraining.
        original: usize,
        /// Rotations over the context above which a frequency is kept.
        beta_fast: f64,
        /// Rotations below which it is divided by `factor`.
        beta_slow: f64,
        /// Multiplies cosines and sines.
        attention_factor: f64,
        /// Whether the ramp's ends are rounded to whole dimensions.
        truncate: bool,
    },
}

impl RopeScaling {
    /// The base of the frequencies and their scaling.
    pub(crate) fn read(fields: &Fields<'_>, max_positions: usize) -> Result<(f64, Self), ConfigError> {
        let top = fields.number("rope_theta")?;
        let original = fields.optional_size("original_max_position_embeddings")?;
        fields.require_one_of("partial_rotary_factor", &[Value::from(1.0)])?;
        let forms = ["rope_parameters", "rope_scaling"].into_iter().filter_map(|key| Some((key, fields.present(key)?)));
        let mut read = forms.map(|form| Self::read_form(form, (top, original), max_positions));
        let Some(first) = read.next().transpose()? else { return Ok((top.unwrap_or(10_000.0), Self::None)) };
        match read.next().transpose()? {
            Some(second) if second != first => {
                let both = "the same as `rope_parameters`, which is there too";
                Err(invalid("rope_scaling", format!("{:?}", second.1), both))
            }
            Some(_) | None => Ok(first),
        }
    }

    /// One of the two forms; `theta` and `original` are what the top level says.
    fn read_form(
        (key, value): (&'static str, &Value),
        (theta, original): (Option<f64>, Option<usize>),
        max_positions: usize,
    ) -> Result<(f64, Self), ConfigError> {
        let Some(map) = value.as_object() else { return Err(invalid(key, value, "an object")) };
        let nested = Fields::new(map);
        let theta = nested.number("rope_theta")?.or(theta).unwrap_or(10_000.0);
        nested.require_one_of("partial_rotary_factor", &[Value::from(1.0)])?;
        let original = original.or(nested.optional_size("original_max_position_embeddings")?);
        let (new_name, old_name) = (nested.present("rope_type"), nested.present("type"));
        let name = new_name.or(old_name);
        let scaling = match name.map_or(Some("default"), Value::as_str) {
            Some("default") => Self::None,
            Some("linear") => Self::Linear { factor: required(&nested, "factor")? },
            Some("dynamic") => Self::Dynamic { factor: required(&nested, "factor")? },
            Some("llama3") => Self::Llama3 {
                factor: required(&nested, "factor")?,
                low_freq_factor: required(&nested, "low_freq_factor")?,
                high_freq_factor: required(&nested, "high_freq_factor")?,
                original: original.unwrap_or(max_positions),
            },
            Some("yarn") => Self::read_yarn(&nested, original, max_positions)?,
            _ => {
                let supported = "\"default\", \"linear\", \"dynamic\", \"llama3\" or \"yarn\"";
                return Err(unsupported(&format!("{key}.rope_type"), name.unwrap_or(value), supported));
            }
        };
        match nested.not_asked().first() {
            Some(unknown) => {
                let supported = "this kind of rope without that key";
                Err(unsupported(&format!("{key}.{unknown}"), &map[unknown], supported))
            }
            None => Ok((theta, scaling)),
        }
    }

    fn read_yarn(nested: &Fields<'_>, original: Option<usize>, max_positions: usize) -> Result<Self, ConfigError> {
        let original = original.unwrap_or(max_positions);
        let factor = match nested.number("factor")? {
            Some(factor) => factor,
            None => max_positions as f64 / original as f64,
        };
        let mscale = nested.number("mscale")?.filter(|scale| *scale != 0.0);
        let mscale_all = nested.number("mscale_all_dim")?.filter(|scale| *scale != 0.0);
        let part = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let attention_factor = match (nested.number("attention_factor")?, mscale, mscale_all) {
            (Some(given), ..) => given,
            (None, Some(scale), Some(all)) => part(scale) / part(all),
            (None, ..) => part(1.0),
        };
        let or_default = |value: Option<f64>, default: f64| value.filter(|value| *value != 0.0).unwrap_or(default);
        Ok(Self::Yarn {
            factor,
            original,
            beta_fast: or_default(nested.number("beta_fast")?, 32.0),
            beta_slow: or_default(nested.number("beta_slow")?, 1.0),
            attention_factor,
            truncate: nested.flag("truncate")?.unwrap_or(true),
        })
    }

    /// Writes `rope_parameters`, and `rope_theta` beside it for readers of the older form.
    pub(crate) fn write(&self, theta: f64, map: &mut Map<String, Value>) {
        let (name, numbers): (&str, Vec<(&str, Value)>) = match *self {
            Self::None => ("default", Vec::new()),
            Self::Linear { factor } => ("linear", vec![("factor", factor.into())]),
            Self::Dynamic { factor } => ("dynamic", vec![("factor", factor.into())]),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original } => (
                "llama3",
                vec![
                    ("factor", factor.into()),
                    ("low_freq_factor", low_freq_factor.into()),
                    ("high_freq_factor", high_freq_factor.into()),
                    ("original_max_position_embeddings", original.into()),
                ],
            ),
            Self::Yarn { factor, original, beta_fast, beta_slow, attention_factor, truncate } => (
                "yarn",
                vec![
                    ("factor", factor.into()),
                    ("original_max_position_embeddings", original.into()),
                    ("beta_fast", beta_fast.into()),
                    ("beta_slow", beta_slow.into()),
                    ("attention_factor", attention_factor.into()),
                    ("truncate", truncate.into()),
                ],
            ),
        };
        let mut nested = Map::from_iter([
            ("rope_theta".to_owned(), Value::from(theta)),
            ("rope_type".to_owned(), Value::from(name)),
        ]);
        nested.extend(numbers.into_iter().map(|(key, value)| (key.to_owned(), value)));
        map.insert("rope_parameters".to_owned(), Value::Object(nested));
        map.insert("rope_theta".to_owned(), theta.into());
    }

    /// Checks the numbers.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let (factor, others): (f64, Vec<(&str, f64)>) = match *self {
            Self::None => return Ok(()),
            Self::Linear { factor } | Self::Dynamic { factor } => (factor, Vec::new()),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
                if high_freq_factor <= low_freq_factor {
                    return Err(invalid("high_freq_factor", high_freq_factor, format!("above {low_freq_factor}")));
                }
                let others = vec![("low_freq_factor", low_freq_factor), (ORIGINAL, original as f64)];
                (factor, others)
            }
            Self::Yarn { factor, original, beta_fast, beta_slow, attention_factor, .. } => {
                let others = vec![
                    (ORIGINAL, original as f64),
                    ("beta_fast", beta_fast),
                    ("beta_slow", beta_slow),
                    ("attention_factor", attention_factor),
                ];
                (factor, others)
            }
        };
        if !(factor.is_finite() && factor >= 1.0) {
            return Err(invalid("factor", factor, "a number of at least 1"));
        }
        match others.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            Some((field, value)) => Err(invalid(field, value, "a positive number")),
            None => Ok(()),
        }
    }
}

const ORIGINAL: &str = "original_max_position_embeddings";

fn required(nested: &Fields<'_>, field: &'static str) -> Result<f64, ConfigError> {
    nested.number(field)?.ok_or(ConfigError::Missing { field })
}
