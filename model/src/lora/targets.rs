//! The modules of a base that an adapter can change, and which of them an adapter's settings mean.
//!
//! A projection is a module with a two-dimensional weight inside a numbered layer. Names and matching are those of PEFT
//! (`check_target_module_exists`, `get_pattern_key`), so that a folder means the same here and there.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::config::{AdapterConfig, ModuleNames};
use super::error::AdapterConfigError;
use crate::ModelConfig;
use crate::family;
use crate::family::plan::{HeadPlan, LayerPlan, LinearPlan};
use crate::family::vision::VisionPlan;

/// A projection of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Projection {
    pub(crate) layer: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// The weight is stored [inputs, outputs] (GPT-2's `Conv1D`) instead of [outputs, inputs].
    pub(crate) transposed: bool,
}

/// What an adapter adds to one projection: `scale * B A` with A [rank, inputs] and B [outputs, rank].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Update {
    pub(crate) projection: Projection,
    pub(crate) rank: usize,
    pub(crate) scale: f64,
}

/// The modules of a base with a matrix.
#[derive(Debug)]
pub(crate) struct BaseModules {
    /// By path, such as `model.layers.0.self_attn.q_proj`.
    projections: BTreeMap<String, Projection>,
    /// Embeddings, vision encoders and heads.
    others: Vec<String>,
    pub(crate) layers: usize,
}

impl BaseModules {
    pub(crate) fn of(base: &ModelConfig) -> Self {
        let plan = family::plan(base);
        let mut projections = BTreeMap::new();
        for (layer, plan) in plan.layers.iter().enumerate() {
            for LinearPlan { module, inputs, outputs, transposed, .. } in products(plan).into_iter().flatten() {
                let (inputs, outputs, transposed) = (*inputs, *outputs, *transposed);
                projections.insert(module.clone(), Projection { layer, inputs, outputs, transposed });
            }
        }
        let module = |weight: &String| weight.strip_suffix(".weight").unwrap_or(weight).to_owned();
        let mut others = vec![module(&plan.embedding.tokens)];
        others.extend(plan.embedding.positions.iter().chain(&plan.embedding.types).map(|(weight, _)| module(weight)));
        let vision = plan.embedding.vision.iter().flat_map(VisionPlan::linears);
        others.extend(vision.map(|linear| linear.module.clone()));
        match &plan.head {
            HeadPlan::Vocabulary { product, .. } | HeadPlan::Labels(product) => others.push(product.module.clone()),
            HeadPlan::Pooled { pooler, product } => others.extend([pooler, product].map(|plan| plan.module.clone())),
        }
        Self { projections, others, layers: plan.layers.len() }
    }

    /// Whether the base stores its projections as [inputs, outputs].
    pub(crate) fn transposed(&self) -> bool {
        self.projections.values().any(|projection| projection.transposed)
    }

    pub(crate) fn get(&self, module: &str) -> Option<&Projection> {
        self.projections.get(module)
    }

    /// The projections of a layer by their last names, for messages.
    pub(crate) fn known(&self) -> String {
        let names: BTreeSet<&str> = self.projections.keys().filter_map(|path| path.rsplit('.').next()).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Every update that `config` means for this base, by module.
    ///
    /// # Errors
    /// A name that matches nothing or something that is no projection, and patterns that cannot be used.
    pub(crate) fn updates(&self, config: &AdapterConfig) -> Result<BTreeMap<String, Update>, AdapterConfigError> {
        let targets = Matcher::new(&config.targets, "target_modules")?;
        let exclude = config.exclude.as_ref().map(|names| Matcher::new(names, "exclude_modules")).transpose()?;
        let ranks = Pattern::all(&config.rank_pattern, "rank_pattern")?;
        let alphas = Pattern::all(&config.alpha_pattern, "alpha_pattern")?;
        self.check_names(&config.targets, &targets)?;
        let mut updates = BTreeMap::new();
        for (module, projection) in &self.projections {
            let in_layers = config.layers.as_ref().is_none_or(|layers| layers.contains(&projection.layer));
            let excluded = exclude.as_ref().is_some_and(|exclude| exclude.matches(module));
            if !targets.matches(module) || !in_layers || excluded {
                continue;
            }
            let rank = Pattern::value(&ranks, module)?.unwrap_or(config.rank);
            let alpha = Pattern::value(&alphas, module)?.unwrap_or(config.alpha);
            let update = Update { projection: *projection, rank, scale: config.scale(rank, alpha) };
            updates.insert(module.clone(), update);
        }
        if updates.is_empty() {
            let expected = "such that at least one projection of the base is left";
            return Err(AdapterConfigError::invalid("target_modules", format!("{:?}", config.targets), expected));
        }
        Ok(updates)
    }

    /// Every name means a projection, and nothing but projections.
    fn check_names(&self, names: &ModuleNames, matcher: &Matcher) -> Result<(), AdapterConfigError> {
        if let Some(module) = self.others.iter().find(|module| matcher.matches(module)) {
            return Err(AdapterConfigError::OutsideLayers { module: module.clone(), known: self.known() });
        }
        let unknown = match names {
            ModuleNames::AllLinear => None,
            ModuleNames::List(names) => {
                names.iter().find(|name| !self.projections.keys().any(|path| ends_with(path, name)))
            }
            ModuleNames::Pattern(pattern) => {
                Some(pattern).filter(|_| !self.projections.keys().any(|path| matcher.matches(path)))
            }
        };
        match unknown {
            Some(module) => Err(AdapterConfigError::UnknownModule { module: module.clone(), known: self.known() }),
            None => Ok(()),
        }
    }
}

/// The projections of a layer, those together that a model made for inference computes as one product: gate and up.
pub(crate) fn products(layer: &LayerPlan) -> Vec<Vec<&LinearPlan>> {
    let (attention, mlp) = (&layer.attention, &layer.mlp);
    let single = attention.query_key_value.iter().chain([&attention.output, &mlp.down]).map(|linear| vec![linear]);
    single.chain([mlp.gate.iter().chain([&mlp.up]).collect()]).collect()
}

/// The number of the layer a module is in: the first part of its path that is a number.
pub(crate) fn layer_of(module: &str) -> Option<usize> {
    module.split('.').find_map(|part| part.parse().ok())
}

fn ends_with(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[derive(Debug)]
enum Matcher {
    AllLinear,
    List(Vec<String>),
    Pattern(Regex),
}

impl Matcher {
    fn new(names: &ModuleNames, field: &'static str) -> Result<Self, AdapterConfigError> {
        Ok(match names {
            ModuleNames::AllLinear => Self::AllLinear,
            ModuleNames::List(names) => Self::List(names.clone()),
            ModuleNames::Pattern(pattern) => Self::Pattern(regex(field, pattern, format!("^(?:{pattern})$"))?),
        })
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::AllLinear => layer_of(path).is_some(),
            Self::List(names) => names.iter().any(|name| ends_with(path, name)),
            Self::Pattern(pattern) => pattern.is_match(path),
        }
    }
}

/// One entry of `rank_pattern` or `alpha_pattern`.
struct Pattern<'a, T> {
    field: &'static str,
    text: &'a str,
    regex: Regex,
    value: T,
}

impl<'a, T: Copy + PartialEq> Pattern<'a, T> {
    fn all(entries: &'a BTreeMap<String, T>, field: &'static str) -> Result<Vec<Self>, AdapterConfigError> {
        let one = |(text, value): (&'a String, &T)| {
            let regex = regex(field, text, format!(r"^(?:.*\.)?(?:{text})$"))?;
            Ok(Self { field, text, regex, value: *value })
        };
        entries.iter().map(one).collect()
    }

    /// The value for `module`. PEFT takes the first entry of the file that matches; here they have to agree.
    fn value(patterns: &[Self], module: &str) -> Result<Option<T>, AdapterConfigError> {
        let mut matching = patterns.iter().filter(|pattern| pattern.regex.is_match(module));
        let Some(first) = matching.next() else { return Ok(None) };
        match matching.find(|pattern| pattern.value != first.value) {
            None => Ok(Some(first.value)),
            Some(second) => Err(AdapterConfigError::Ambiguous {
                field: first.field,
                module: module.to_owned(),
                first: first.text.to_owned(),
                second: second.text.to_owned(),
            }),
        }
    }
}

fn regex(field: &'static str, pattern: &str, whole: String) -> Result<Regex, AdapterConfigError> {
    Regex::new(&whole).map_err(|source| AdapterConfigError::Pattern {
        field,
        pattern: pattern.to_owned(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::test_base::base;

    fn updates(change: impl FnOnce(&mut AdapterConfig)) -> Result<BTreeMap<String, Update>, String> {
        let mut config = AdapterConfig::new(4, 8.0, ModuleNames::List(vec!["q_proj".into(), "down_proj".into()]));
        change(&mut config);
        BaseModules::of(&base()).updates(&config).map_err(|error| error.to_string())
    }

    fn pattern(text: &str) -> ModuleNames {
        ModuleNames::Pattern(text.into())
    }

    #[test]
    fn names_mean_what_they_mean_in_peft() {
        let layers = base().num_hidden_layers;
        assert_eq!(updates(|_| ()).unwrap().len(), 2 * layers);
        assert_eq!(updates(|config| config.targets = ModuleNames::AllLinear).unwrap().len(), 7 * layers);
        assert_eq!(updates(|config| config.targets = pattern(r".*\.[qkv]_proj")).unwrap().len(), 3 * layers);
        assert_eq!(updates(|config| config.targets = pattern(r"model\.layers\.1\.mlp\..*")).unwrap().len(), 3);
        let found = updates(|config| config.layers = Some(vec![1])).unwrap();
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            ["model.layers.1.mlp.down_proj", "model.layers.1.self_attn.q_proj"]
        );
        let found = updates(|config| config.exclude = Some(pattern(".*q_proj"))).unwrap();
        assert!(found.len() == layers && found.keys().all(|module| module.ends_with("down_proj")));
    }

    #[test]
    fn patterns_give_ranks_and_alphas() {
        let found = updates(|config| {
            config.rank_pattern = [("q_proj".to_owned(), 16)].into();
            config.alpha_pattern = [(r"layers\.1\..*".to_owned(), 2.0)].into();
        })
        .unwrap();
        let of = |module: &str| (found[module].rank, found[module].scale);
        assert_eq!(of("model.layers.0.self_attn.q_proj"), (16, 0.5));
        assert_eq!(of("model.layers.1.self_attn.q_proj"), (16, 0.125));
        assert_eq!(of("model.layers.1.mlp.down_proj"), (4, 0.5));
    }

    #[test]
    fn what_matches_nothing_or_too_much_is_refused() {
        for (targets, says) in [
            (ModuleNames::List(vec!["q_proj".into(), "c_attn".into()]), "names `c_attn`"),
            (pattern("qproj"), "names `qproj`"),
            (pattern(".*"), "embed_tokens`; only the projections"),
            (pattern("(?!q)"), "look-around"),
            (ModuleNames::List(vec!["embed_tokens".into()]), "embed_tokens`; only the projections"),
        ] {
            let error = updates(|config| config.targets = targets).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let error = updates(|config| config.layers = Some(vec![99])).unwrap_err();
        assert!(error.contains("at least one projection"), "{error}");
        let both = [("q_proj".to_owned(), 2), (".*proj".to_owned(), 3)];
        let error = updates(|config| config.rank_pattern = both.into()).unwrap_err();
        assert!(error.contains("two values"), "{error}");
    }
}
