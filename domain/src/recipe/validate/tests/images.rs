//! Rules about images: which models can be shown some.

use super::{TINY, broken, parse};

#[test]
fn images_need_a_vision_encoder_whose_shape_is_possible() {
    let base = r#"characters: {alphabet: " #+0123456789:=AQ", layers: 1, hidden: 16, heads: 2, ffn: 16, context: 96}"#;
    let old = "characters: {alphabet: \"0123456789>\", ";
    let start = TINY.find(old).unwrap();
    let end = start + TINY[start..].find('}').unwrap() + 1;
    let few = TINY.replace("train: 4000, val: 300, test: 500", "train: 40, val: 10, test: 10");
    let few = few.replace("{digits: 1000}", "{digits: 40}").replace("n: 200", "n: 10").replace("n: 500", "n: 10");
    let family = few.replace("family: sort_six_digits", "family: rendered_sums").replace(&TINY[start..end], base);
    let blind = parse(&family).unwrap_err().to_string();
    assert!(blind.contains("base.characters") && blind.contains("(rendered_sums) show images"), "{blind}");
    assert!(blind.contains("add `vision: {hidden: 64, layers: 2}`"), "{blind}");
    let seeing = family.replace("context: 96}", "context: 96, vision: {hidden: 64, layers: 2}}");
    let recipe = parse(&seeing).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(parse(&recipe.to_yaml()).unwrap().digest(), recipe.digest());
    for (from, to, place, way) in [
        ("layers: 2}}", "layers: 0}}", "vision.layers", "1 to 16"),
        ("hidden: 64", "hidden: 1", "vision.hidden", "2 to 4096"),
        ("context: 96", "context: 50", "base.characters.context", "use at least"),
        ("=AQ\"", "=AQ\u{F0001}\"", "base.characters.alphabet", "patches need no place"),
    ] {
        let said = broken(&seeing, from, to);
        assert!(said.contains(place) && said.contains(way), "{said}");
    }
}
