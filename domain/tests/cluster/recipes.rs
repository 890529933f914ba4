//! Small recipes that use every verb.

use galapagos_domain::recipe::Recipe;

fn parse(text: &str) -> Recipe {
    let recipe: Recipe = serde_json::from_str(text).unwrap();
    recipe
}

/// Two generations of everything: demonstrations, two trainings, a gate, metrics that need a critic.
pub fn full() -> Recipe {
    parse(
        r#"{
        "galapagos": 1, "name": "full", "about": "every verb",
        "governance": {"purpose": "test", "data": "none", "risks": "none", "oversight": "none", "contact": "none"},
        "base": {"model": "none"},
        "roles": {"policy": {"init": "base"}, "critic": {"init": "policy", "head": "scalar"}},
        "tasks": {"sort": {"builtin": {"family": "sort_six_digits", "train": 10, "val": 7, "test": 5, "demonstrations": 4}}},
        "generations": 2,
        "vars": {"t": 0.8},
        "first": [
            {"curate": {"as": "shown", "from": {"demonstrations": "sort"}}},
            {"train": {"role": "policy", "on": "shown", "loss": "nll", "lr": 0.001}}
        ],
        "each": [
            {"rollout": {"as": "samples", "role": "policy", "tasks": {"sort": 6}, "search": {"sample_k": {"n": 2, "temperature": "$t"}}}},
            {"curate": {"as": "correct", "from": "samples", "apply": [{"keep": {"verdict": "pass"}}, "dedupe"]}},
            {"train": {"as": "candidate", "role": "policy", "on": [{"all": "correct"}, "shown"], "loss": "nll", "lr": 0.001, "ranks": 2}},
            {"train": {"role": "critic", "on": "samples", "loss": {"pointwise": "bce"}, "start": "restart", "lr": 0.001}},
            {"tournament": {"as": "ladder", "between": ["champion", "candidate"], "tasks": {"sort": {"split": "val"}},
                "gate": {"sprt": {"elo": [0, 200], "alpha": 0.05, "beta": 0.05}}, "promote": "policy", "max_pairs": 40}},
            {"evaluate": {"members": ["champion", "candidate"], "tasks": {"sort": {"split": "val", "n": 3}},
                "metrics": ["pass_at_1", {"pass_at": 4}, {"best_of": {"n": 2, "by": "critic"}}]}}
        ],
        "finish": [{"evaluate": {"members": ["base", "champion"], "tasks": {"sort": {"split": "test"}}, "metrics": ["pass_at_1"]}}]
    }"#,
    )
}

/// One generation of one round that takes most of the slots.
pub fn wide() -> Recipe {
    parse(
        r#"{
        "galapagos": 1, "name": "wide", "about": "a large round",
        "governance": {"purpose": "test", "data": "none", "risks": "none", "oversight": "none", "contact": "none"},
        "base": {"model": "none"},
        "roles": {"policy": {"init": "base"}},
        "tasks": {"sort": {"builtin": {"family": "sort_six_digits", "train": 4, "val": 2, "test": 2, "demonstrations": 4}}},
        "generations": 1,
        "each": [
            {"curate": {"as": "shown", "from": {"demonstrations": "sort"}}},
            {"train": {"role": "policy", "on": "shown", "loss": "nll", "lr": 0.001, "ranks": 3}}
        ],
        "finish": [{"evaluate": {"members": ["policy"], "tasks": {"sort": {"split": "test"}}, "metrics": ["pass_at_1"]}}]
    }"#,
    )
}

/// Trees, and operators that need more than records.
pub fn forest() -> Recipe {
    parse(
        r#"{
        "galapagos": 1, "name": "forest", "about": "operators on trees",
        "governance": {"purpose": "test", "data": "none", "risks": "none", "oversight": "none", "contact": "none"},
        "base": {"model": "none"},
        "roles": {"policy": {"init": "base"}},
        "tasks": {"sort": {"builtin": {"family": "sort_six_digits", "train": 40, "val": 2, "test": 2, "demonstrations": 4}}},
        "generations": 1,
        "vars": {"bound": 0.25},
        "each": [
            {"rollout": {"as": "trees", "role": "policy", "tasks": {"sort": 40},
                "search": {"mcts": {"propose": {"n": 2, "unit": "line"}, "budget": {"simulations": 4}}}}},
            {"curate": {"as": "pairs", "from": "trees", "apply": [{"pair": {"from": "siblings"}}]}},
            {"curate": {"as": "journeys", "from": "trees", "apply": [{"linearise": {"text_back": "No. "}}]}},
            {"curate": {"as": "sure", "from": "trees", "apply": [{"filter": {"by": "confidence", "above": "$bound"}},
                {"repeat_verify": {"times": 2, "min_pass": 2}}, {"mix": {"with": {"journeys": 0.5}}}]}},
            {"curate": {"as": "both", "from": ["sure", "pairs"]}}
        ],
        "finish": [{"evaluate": {"members": ["policy"], "tasks": {"sort": {"split": "test"}}, "metrics": ["pass_at_1"]}}]
    }"#,
    )
}

/// Questions that a policy learns to ask, proposes and answers, in two generations.
pub fn imagined() -> Recipe {
    parse(
        r#"{
        "galapagos": 1, "name": "imagined", "about": "proposed tasks",
        "governance": {"purpose": "test", "data": "none", "risks": "none", "oversight": "none", "contact": "none"},
        "base": {"model": "none"},
        "roles": {"policy": {"init": "base"}},
        "tasks": {"sort": {"builtin": {"family": "sort_six_digits", "train": 10, "val": 4, "test": 2}}},
        "generations": 2,
        "first": [
            {"curate": {"as": "asking", "from": {"questions": "sort", "seeds": 2}}},
            {"train": {"role": "policy", "on": "asking", "loss": "nll", "lr": 0.001}}
        ],
        "each": [
            {"propose": {"as": "dreams", "role": "policy", "kind": "tasks", "like": "sort", "n": 9, "tries": 24, "at_least": 6, "seeds": 2}},
            {"rollout": {"as": "samples", "role": "policy", "tasks": {"dreams": 6}, "search": {"sample_k": {"n": 2}},
                "verify": [{"rules": [{"id": "short", "must": {"max_words": 2}}]}]}},
            {"train": {"role": "policy", "on": "samples", "loss": "nll", "lr": 0.001}}
        ],
        "finish": [{"evaluate": {"members": ["policy"], "tasks": {"sort": {"split": "test"}}, "metrics": ["pass_at_1"]}}]
    }"#,
    )
}

/// Many small jobs, twice.
pub fn broad() -> Recipe {
    parse(
        r#"{
        "galapagos": 1, "name": "broad", "about": "many jobs",
        "governance": {"purpose": "test", "data": "none", "risks": "none", "oversight": "none", "contact": "none"},
        "base": {"model": "none"},
        "roles": {"policy": {"init": "base"}},
        "tasks": {"sort": {"builtin": {"family": "sort_six_digits", "train": 64, "val": 2, "test": 2}}},
        "generations": 2,
        "each": [{"rollout": {"as": "samples", "role": "policy", "tasks": {"sort": 32}, "search": {"sample_k": {"n": 1}}}}],
        "finish": [{"evaluate": {"members": ["policy"], "tasks": {"sort": {"split": "test"}}, "metrics": ["pass_at_1"]}}]
    }"#,
    )
}

/// Two large trees, each grown by several jobs in two waves.
pub fn spread() -> Recipe {
    parse(
        r#"{
        "galapagos": 1, "name": "spread", "about": "trees over several jobs",
        "governance": {"purpose": "test", "data": "none", "risks": "none", "oversight": "none", "contact": "none"},
        "base": {"model": "none"},
        "roles": {"policy": {"init": "base"}},
        "tasks": {"sort": {"builtin": {"family": "sort_six_digits", "train": 4, "val": 2, "test": 2}}},
        "generations": 2,
        "each": [
            {"rollout": {"as": "trees", "role": "policy", "tasks": {"sort": 2}, "search": {"mcts": {
                "propose": {"n": 2, "unit": "line"}, "budget": {"simulations": 40}, "spread": {"jobs": 3, "waves": 2}}}}},
            {"curate": {"as": "all", "from": "trees", "apply": ["dedupe"]}}
        ],
        "finish": [{"evaluate": {"members": ["policy"], "tasks": {"sort": {"split": "test"}}, "metrics": ["pass_at_1"]}}]
    }"#,
    )
}

/// Three generations whose temperature and bound are moved by one controller, and whose other temperature by another one, more rarely.
pub fn controlled() -> Recipe {
    parse(
        r#"{
        "galapagos": 1, "name": "controlled", "about": "controllers",
        "governance": {"purpose": "test", "data": "none", "risks": "none", "oversight": "none", "contact": "none"},
        "base": {"model": "none"},
        "roles": {"policy": {"init": "base"}},
        "tasks": {"sort": {"builtin": {"family": "sort_six_digits", "train": 6, "val": 10, "test": 2}}},
        "generations": 3,
        "vars": {"t": 0.7, "bound": 0.0, "hot": 1.0},
        "controllers": [
            {"grid_argmax": {"as": "tuner", "on": {"sort": {"split": "val", "n": 9}},
                "search": {"sample_k": {"n": 2, "temperature": "$t"}}, "filter": {"above": "$bound"}, "metric": {"balance_score": {}},
                "moves": {"t": {"from": 0.5, "to": 0.9, "step": 0.1}, "bound": {"from": -0.5, "to": 0.5, "step": 0.5}},
                "budget": "successive_halving"}},
            {"grid_argmax": {"on": {"sort": {"split": "val", "n": 2}}, "search": {"sample_k": {"n": 2, "temperature": "$hot"}},
                "metric": "random", "moves": {"hot": {"from": 1.0, "to": 2.0, "step": 0.25}}, "every": 2}}
        ],
        "each": [
            {"rollout": {"as": "samples", "role": "policy", "tasks": {"sort": 2}, "search": {"sample_k": {"n": 2, "temperature": "$t"}}}},
            {"rollout": {"as": "wild", "role": "policy", "tasks": {"sort": 2}, "search": {"sample_k": {"n": 2, "temperature": "$hot"}}}},
            {"curate": {"as": "good", "from": "samples", "apply": [{"filter": {"by": "reward", "above": "$bound"}}]}},
            {"train": {"role": "policy", "on": "good", "loss": "nll", "lr": 0.001}}
        ],
        "finish": [{"evaluate": {"members": ["policy"], "tasks": {"sort": {"split": "test"}}, "metrics": [{"pass_at": 2}], "temperature": "$t"}}]
    }"#,
    )
}
