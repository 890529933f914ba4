//! What somebody who misspelt a name most likely meant.

/// How alike two words must be before one is suggested for the other (Jaro-Winkler, 1: equal).
const LIKENESS: f64 = 0.8;

/// The name among `known` that is most like `word`, if one is like enough.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.into_iter().map(|candidate| (strsim::jaro_winkler(word, candidate), candidate));
    let near = alike.filter(|(likeness, _)| *likeness >= LIKENESS).max_by(|a, b| a.0.total_cmp(&b.0));
    near.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_is_meant_and_nothing_if_none_is_like() {
        let known = ["m-star", "m-star-chosen", "medsss"];
        assert_eq!(nearest("mstar", known), Some("m-star"));
        assert_eq!(nearest("m-star-choosen", known), Some("m-star-chosen"));
        assert_eq!(nearest("rlsp", known), None);
    }
}
