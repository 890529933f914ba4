//! What runs of letters mean: functions, constants, joints, words, or letters that multiply. Tables and one heuristic.

use super::node::{Constant, Function, Node};

/// What a name calls.
pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" | "tg" => Function::Tan,
        "cot" | "ctg" => Function::Cot,
        "sec" => Function::Sec,
        "csc" | "cosec" => Function::Csc,
        "arcsin" | "asin" => Function::Arcsin,
        "arccos" | "acos" => Function::Arccos,
        "arctan" | "atan" => Function::Arctan,
        "sinh" => Function::Sinh,
        "cosh" => Function::Cosh,
        "tanh" => Function::Tanh,
        "exp" => Function::Exp,
        "ln" => Function::Ln,
        "log" | "lg" => Function::Log,
        "sqrt" | "cbrt" | "root" => Function::Root,
        "abs" => Function::Abs,
        "floor" => Function::Floor,
        "ceil" | "ceiling" => Function::Ceil,
        "factorial" => Function::Factorial,
        "binom" | "binomial" | "comb" => Function::Binomial,
        "gcd" => Function::Gcd,
        "lcm" => Function::Lcm,
        "min" => Function::Min,
        "max" => Function::Max,
        _ => return None,
    })
}

/// The inverse that `f^{-1}` means.
pub(super) fn inverse(function: Function) -> Option<Function> {
    match function {
        Function::Sin => Some(Function::Arcsin),
        Function::Cos => Some(Function::Arccos),
        Function::Tan => Some(Function::Arctan),
        _ => None,
    }
}

/// Functions whose argument needs no brackets.
pub(super) fn takes_bare(function: Function) -> bool {
    use Function::{Arccos, Arcsin, Arctan, Cos, Cosh, Cot, Csc, Exp, Ln, Log, Root, Sec, Sin, Sinh, Tan, Tanh};
    match function {
        Sin | Cos | Tan | Cot | Sec | Csc | Arcsin | Arccos | Arctan | Sinh | Cosh | Tanh | Exp | Ln | Log | Root => {
            true
        }
        Function::Abs
        | Function::Floor
        | Function::Ceil
        | Function::Factorial
        | Function::Binomial
        | Function::Gcd
        | Function::Lcm
        | Function::Min
        | Function::Max => false,
    }
}

/// How many arguments, at least and at most.
pub(super) fn arity(function: Function) -> (usize, usize) {
    match function {
        Function::Binomial => (2, 2),
        Function::Gcd | Function::Lcm | Function::Min | Function::Max => (1, 64),
        Function::Log | Function::Root => (1, 2),
        _ => (1, 1),
    }
}

/// A constant or a symbol by the name of a command or a word, if it has one.
pub(super) fn named(name: &str) -> Option<Node> {
    Some(match name {
        "pi" | "Pi" => Node::Constant(Constant::Pi),
        "e" => Node::Constant(Constant::E),
        "i" | "imath" => Node::Constant(Constant::I),
        "inf" | "infinity" | "Infinity" | "oo" => Node::Infinity,
        "alpha" | "beta" | "gamma" | "delta" | "epsilon" | "varepsilon" | "zeta" | "eta" | "theta" | "vartheta"
        | "iota" | "kappa" | "lambda" | "mu" | "nu" | "xi" | "rho" | "sigma" | "tau" | "upsilon" | "phi" | "varphi"
        | "chi" | "psi" | "omega" | "Gamma" | "Delta" | "Theta" | "Lambda" | "Xi" | "Sigma" | "Phi" | "Psi"
        | "Omega" | "ell" | "hbar" => Node::Symbol(name.strip_prefix("var").unwrap_or(name).to_owned()),
        _ => return None,
    })
}

/// Letters of functions by name only: before a bracket they are applied, not multiplied.
pub(super) fn is_applied(name: &str) -> bool {
    matches!(name, "f" | "g" | "h" | "F" | "G")
}

/// Letters that are functions where they are defined: `P(x) = ...`.
pub(super) fn may_be_applied(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_uppercase()) || matches!(name, "p" | "q" | "r" | "s" | "u" | "v")
}

/// Whether letters are rather a word of a language than variables that are multiplied.
pub(super) fn looks_like_word(letters: &str) -> bool {
    if function(letters).is_some() || named(letters).is_some() {
        return false;
    }
    let vowels = letters.chars().filter(|c| "aeouyAEOUY".contains(*c)).count();
    let run = letters.as_bytes().windows(2).all(|pair| pair[1] == pair[0] + 1);
    let upper = letters.chars().all(|c| c.is_ascii_uppercase());
    match letters.len() {
        0 | 1 => false,
        2 => matches!(
            letters.to_ascii_lowercase().as_str(),
            "no" | "or" | "is" | "at" | "to" | "in" | "on" | "of" | "an"
        ),
        3 => vowels > 0 && !run && !upper && !letters.chars().all(|c| "abcxyz".contains(c)),
        4 => vowels > 0 && !run && !upper,
        _ => true,
    }
}

/// A function whose name begins `letters`, with what follows, if that is one letter: `lnx`.
pub(super) fn glued(letters: &str) -> Option<(&str, &str)> {
    ["sqrt", "sin", "cos", "tan", "log", "ln"]
        .into_iter()
        .find_map(|name| letters.strip_prefix(name).map(|rest| (&letters[..name.len()], rest)))
        .filter(|(_, rest)| rest.len() == 1)
}

/// Base of a numeral by a word.
pub(super) fn base_word(word: &str) -> Option<u32> {
    Some(match word {
        "two" | "binary" => 2,
        "three" => 3,
        "four" => 4,
        "five" => 5,
        "six" => 6,
        "seven" => 7,
        "eight" => 8,
        "nine" => 9,
        "ten" => 10,
        "sixteen" | "hex" => 16,
        _ => return None,
    })
}
