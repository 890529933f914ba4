//! A JSON Schema of recipes for editors: completion, hover texts, unknown words underlined. Made of the same tables as the help, so it can
//! lag behind neither. Where a table names a shape that has no schema of its own here, anything is taken: the recipe's reader decides.

use serde_json::{Map, Value, json};

use super::topic::{Entry, Form, Preset, Topic};
use super::topics;

/// The whole schema.
#[must_use]
pub fn schema() -> Value {
    let defs: Map<String, Value> = topics::all().map(|topic| (topic.word.to_owned(), of(topic))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Galapagos recipe",
        "description": "Printed by `galapagos help --schema`.",
        "$ref": "#/$defs/recipe",
        "$defs": defs,
    })
}

fn of(topic: &Topic) -> Value {
    match topic.form {
        Form::Map => map(topic),
        Form::Choice => choice(topic),
    }
}

fn map(topic: &Topic) -> Value {
    let mut properties: Map<String, Value> =
        topic.entries.iter().map(|entry| (entry.word.to_owned(), described(topic, entry))).collect();
    if topic.word == "recipe" {
        let about = "files that this one changes, later ones over earlier ones";
        let file = json!({"type": "string"});
        properties
            .insert("extends".into(), json!({"description": about, "anyOf": [file, {"type": "array", "items": file}]}));
    }
    if topic.place == "recipe step" {
        properties.insert("omit".into(), json!({"const": true, "description": "takes this recipe step away"}));
        let about = "in front of which recipe step it stands";
        properties.insert("before".into(), json!({"type": "string", "description": about}));
    }
    // Nothing is required: a file that extends another names only what it changes, as deep as it likes.
    json!({
        "description": topic.about,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn choice(topic: &Topic) -> Value {
    // The bare word of a family stands for its options' defaults.
    let bare = topic.entries.iter().filter(|entry| entry.takes.is_empty() || topic.word == "family");
    let full = topic.entries.iter().filter(|entry| !entry.takes.is_empty());
    let words = bare.map(|entry| json!({"const": entry.word, "description": entry.about}));
    let maps = full.map(|entry| {
        let properties: Map<String, Value> = [(entry.word.to_owned(), described(topic, entry))].into_iter().collect();
        json!({"type": "object", "properties": properties, "required": [entry.word], "additionalProperties": false})
    });
    json!({"description": topic.about, "anyOf": words.chain(maps).collect::<Vec<_>>()})
}

/// An entry's value with what the help says of it.
fn described(topic: &Topic, entry: &Entry) -> Value {
    let mut about = entry.about.to_owned();
    if let Preset::Default(value) = entry.preset {
        about.push_str(&format!(" (default {value})"));
    }
    json!({"description": about, "allOf": [value(topic, entry)]})
}

fn value(topic: &Topic, entry: &Entry) -> Value {
    let number = json!({"type": "number"});
    let whole = json!({"type": "integer", "minimum": 0});
    let variable = json!({"type": "string", "pattern": "^\\$"});
    let text = json!({"type": "string"});
    let map_of = |word: &str| json!({"type": "object", "additionalProperties": reference(word)});
    let list_of = |word: &str| json!({"type": "array", "items": reference(word)});
    match entry.takes {
        "count" | "seconds" | "token id" => whole,
        "number" => number,
        "number or $name" => json!({"anyOf": [number, variable]}),
        "count or $name" => json!({"anyOf": [whole, variable]}),
        // A role that gives numbers may stand with what becomes of them.
        "role" if topic.word == "verify" => json!({"anyOf": [text, {"type": "object"}]}),
        "text" | "name" | "role" | "column" | "`base` or a role" => text,
        "true or false" => json!({"type": "boolean"}),
        "true" => json!({"const": true}),
        "verifier" => reference("verify"),
        "metric" => reference("metrics"),
        "list of evaluators" => list_of("evaluator"),
        "list of recipe steps" => list_of("each"),
        "list of operators" => list_of("apply"),
        "list of metrics" => list_of("metrics"),
        "list" if entry.word == "verify" => list_of("verify"),
        "map of roles" => map_of("roles"),
        "map of task sets" => map_of("tasks"),
        "map: name to search" => map_of("search"),
        "map: name to number" => map_of("numbers"),
        "map of numbers" => json!({"type": "object", "additionalProperties": number}),
        "choice" => linked(topic, entry).unwrap_or_else(|| json!({})),
        "map" => linked(topic, entry).unwrap_or_else(|| json!({"type": "object"})),
        word @ ("family" | "style" | "taken_back" | "begun") => reference(word),
        other => words(other).unwrap_or_else(|| json!({})),
    }
}

fn reference(word: &str) -> Value {
    json!({"$ref": format!("#/$defs/{word}")})
}

/// The topic that describes this entry's value: of the same word, with this topic as its place.
fn linked(topic: &Topic, entry: &Entry) -> Option<Value> {
    let word = match (topic.word, entry.word) {
        ("each", "propose") => "propose",
        (_, "propose") => "sample_k",
        ("verify", "judge") => "judging",
        ("discriminate", "by") => "discriminator",
        (_, "conclude") => "write",
        (_, word) => word,
    };
    let stands_here = |place: &str| place.rsplit('.').next() == Some(topic.word);
    let here = |known: &Topic| known.place.split(", ").any(stands_here);
    let always = ["sample_k", "judging"].contains(&word) || topic.word == "each";
    topics::all().find(|known| known.word == word && (always || here(known))).map(|known| reference(known.word))
}

/// `drop, where_given or compare` as the words themselves, `1` as the number.
fn words(takes: &str) -> Option<Value> {
    if let Ok(number) = takes.parse::<i64>() {
        return Some(json!({"const": number}));
    }
    let words: Vec<&str> = takes.split(", ").flat_map(|part| part.split(" or ")).collect();
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let known = ["list", "map", "name", "number", "text", "count", "rate", "share", "token"];
    (words.iter().all(plain) && !words.iter().any(|word| known.contains(word))).then(|| json!({"enum": words}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validator() -> jsonschema::Validator {
        jsonschema::validator_for(&schema()).unwrap_or_else(|e| panic!("{e}"))
    }

    fn recipes() -> Vec<(String, Value)> {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes"));
        let files = ["", "datasets", "tests"].iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
        let yaml = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "yaml"));
        yaml.map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.display().to_string(), serde_saphyr::from_str(&text).unwrap())
        })
        .collect()
    }

    #[test]
    fn every_shipped_recipe_is_valid() {
        let validator = validator();
        let recipes = recipes();
        assert!(recipes.len() >= 5);
        for (path, recipe) in recipes {
            let errors: Vec<String> =
                validator.iter_errors(&recipe).map(|e| format!("{} {e}", e.instance_path())).collect();
            assert!(errors.is_empty(), "{path}: {errors:#?}");
        }
    }

    #[test]
    fn wrong_words_and_kinds_are_found() {
        let validator = validator();
        let (_, good) = recipes().into_iter().find(|(path, _)| path.ends_with("tiny.yaml")).unwrap();
        let breaks: [(&str, Value); 5] = [
            ("/generatons", json!(3)),
            ("/each/0/rollout/serch", json!({})),
            ("/each/0/rollout/search", json!({"sample_k": {"m": 3}})),
            ("/each/2/train/start", json!("contine")),
            ("/generations", json!("four")),
        ];
        for (pointer, value) in breaks {
            let mut bad = good.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            bad.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
            assert!(!validator.is_valid(&bad), "{pointer}");
        }
    }

    #[test]
    fn the_file_for_editors_is_the_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/recipe.schema.json");
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(kept == schema(), "run `galapagos help --schema > docs/recipe.schema.json`");
    }
}
