//! Which commands and which characters mean the same symbol. Tables only.

use num_bigint::BigInt;
use num_rational::BigRational;

use super::{Digits, Token};

/// Whether a command only changes the look.
pub(super) fn is_look(name: &str) -> bool {
    matches!(
        name,
        "quad"
            | "qquad"
            | "displaystyle"
            | "textstyle"
            | "scriptstyle"
            | "limits"
            | "nolimits"
            | "big"
            | "Big"
            | "bigg"
            | "Bigg"
            | "bigl"
            | "bigr"
            | "Bigl"
            | "Bigr"
            | "biggl"
            | "biggr"
            | "middle"
            | "boxed"
            | "fbox"
            | "hspace"
            | "enspace"
            | "thinspace"
            | "medspace"
            | "negthinspace"
            | "boldsymbol"
            | "bm"
            | "mathstrut"
            | "strut"
    )
}

/// The symbol that a command stands for.
pub(super) fn command_symbol(name: &str) -> Option<char> {
    Some(match name {
        "cdot" | "times" | "ast" | "bullet" => '*',
        "div" => '/',
        "pm" => '±',
        "mp" => '∓',
        "le" | "leq" | "leqslant" => '≤',
        "ge" | "geq" | "geqslant" => '≥',
        "lt" => '<',
        "gt" => '>',
        "ne" | "neq" => '≠',
        "approx" | "simeq" | "doteq" => '≈',
        "equiv" => '=',
        "infty" => '∞',
        "cup" => '∪',
        "cap" => '∩',
        "in" => '∈',
        "emptyset" | "varnothing" => '∅',
        "setminus" | "backslash" => '∖',
        "circ" | "degree" | "textdegree" => '°',
        "lbrace" => '⦃',
        "rbrace" => '⦄',
        "lbrack" => '[',
        "rbrack" => ']',
        "lparen" | "langle" => '(',
        "rparen" | "rangle" => ')',
        "vert" | "lvert" | "rvert" | "mid" => '|',
        "prime" => '\'',
        "percent" => '%',
        "colon" => ':',
        "cr" | "newline" => '↵',
        _ => return None,
    })
}

/// The tokens that a character outside ASCII stands for.
pub(super) fn unicode(c: char) -> Option<Vec<Token>> {
    let symbol = |symbol| Some(vec![Token::Symbol(symbol)]);
    if let Some(power) = "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|known| known == c) {
        return Some(vec![Token::Symbol('^'), integer(power)]);
    }
    if let Some(index) = "₀₁₂₃₄₅₆₇₈₉".chars().position(|known| known == c) {
        return Some(vec![Token::Symbol('_'), integer(index)]);
    }
    match c {
        '−' | '–' | '—' => symbol('-'),
        '×' | '·' | '⋅' | '∙' | '∗' => symbol('*'),
        '÷' | '∕' | '⁄' => symbol('/'),
        '√' | '∞' | '∪' | '∩' | '∈' | '∅' | '∖' | '±' | '∓' | '≤' | '≥' | '≠' | '≈' | '°' | '€' | '£' | '¥' => {
            symbol(c)
        }
        '⩽' => symbol('≤'),
        '⩾' => symbol('≥'),
        'ø' => symbol('∅'),
        '’' | '′' => symbol('\''),
        '∣' => symbol('|'),
        '½' => Some(vec![fraction(1, 2)]),
        '¼' => Some(vec![fraction(1, 4)]),
        '¾' => Some(vec![fraction(3, 4)]),
        '⅓' => Some(vec![fraction(1, 3)]),
        '⅔' => Some(vec![fraction(2, 3)]),
        'ℝ' => Some(vec![Token::Command("mathbbR".to_owned())]),
        'ℤ' => Some(vec![Token::Command("mathbbZ".to_owned())]),
        'ℚ' => Some(vec![Token::Command("mathbbQ".to_owned())]),
        'ℕ' => Some(vec![Token::Command("mathbbN".to_owned())]),
        'ℂ' => Some(vec![Token::Command("mathbbC".to_owned())]),
        _ => greek(c).map(|name| vec![Token::Command(name.to_owned())]),
    }
}

fn integer(value: usize) -> Token {
    let number = BigRational::from_integer(BigInt::from(value));
    Token::Number(Digits { text: value.to_string(), value: number, places: None })
}

fn fraction(over: i64, under: i64) -> Token {
    let value = BigRational::new(BigInt::from(over), BigInt::from(under));
    Token::Number(Digits { text: String::new(), value, places: None })
}

fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' => "epsilon",
        'θ' => "theta",
        'λ' => "lambda",
        'μ' => "mu",
        'π' => "pi",
        'ρ' => "rho",
        'σ' => "sigma",
        'τ' => "tau",
        'φ' => "phi",
        'ψ' => "psi",
        'ω' => "omega",
        'Δ' => "Delta",
        'Ω' => "Omega",
        'Σ' => "Sigma",
        _ => return None,
    })
}
