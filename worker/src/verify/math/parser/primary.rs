//! What binds tightest: numbers (mixed numbers and numerals of other bases too), letters, functions with their arguments, brackets.
//! Which runs of letters are words lies in `words`.

use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use super::{Parsed, Parser, describe, unreadable};
use crate::verify::math::lexer::{Digits, Token};
use crate::verify::math::node::{Function, Literal, Node};
use crate::verify::math::units::is_known;
use crate::verify::math::words::{self, function, glued, looks_like_word, named};

impl Parser {
    /// Whether what follows continues a product without a sign.
    pub(super) fn starts_factor(&self) -> bool {
        match self.peek() {
            None | Some(Token::Text(_)) => false,
            Some(Token::Number(_)) => {
                !matches!(self.at.checked_sub(1).map(|at| &self.tokens[at].token), Some(Token::Number(_)) if self.within == 0)
            }
            Some(Token::Word(word)) => !self.is_joint_or_unit(word),
            Some(Token::Command(name)) => function(name).is_some() || named(name).is_some() || is_structure(name),
            Some(Token::Symbol(symbol)) => match symbol {
                '(' | '{' | '√' => true,
                '|' => self.bars == 0,
                _ => false,
            },
        }
    }

    fn is_joint_or_unit(&self, word: &str) -> bool {
        if matches!(word, "and" | "or" | "in" | "U") {
            return true;
        }
        if function(word).is_some() {
            let called = match self.ahead(1) {
                Some(Token::Symbol('(' | '{' | '^' | '√') | Token::Number(_)) => true,
                Some(Token::Word(_) | Token::Command(_)) => !is_known(word),
                _ => false,
            };
            return !called;
        }
        named(word).is_none() && (word.len() > 1 && is_known(word) || looks_like_word(word) || self.is_lone_unit(word))
    }

    /// A single letter after a space that begins a unit which ends an answer without other letters: `5 m`, `5 m/s`.
    fn is_lone_unit(&self, word: &str) -> bool {
        let (before, after) = self.tokens.split_at(self.at);
        let unit = |token: &Token| match token {
            Token::Word(word) => is_known(word),
            Token::Number(_) | Token::Symbol('/' | '^') => true,
            _ => false,
        };
        let letters = |token: &Token| matches!(token, Token::Word(_) | Token::Command(_));
        word.len() == 1
            && self.spaced()
            && after.iter().all(|spaced| unit(&spaced.token))
            && !before.iter().any(|spaced| letters(&spaced.token))
    }

    pub(super) fn primary(&mut self) -> Parsed {
        let Some(token) = self.peek().cloned() else { return Err(unreadable("it ends too early")) };
        match token {
            Token::Number(digits) => self.number(&digits),
            Token::Word(word) => self.word(&word),
            Token::Command(name) => self.named_command(&name),
            Token::Symbol('(' | '[' | '{' | '⦃' | '|') => self.deeper(Self::group),
            Token::Symbol('√') => {
                self.next();
                let radicand = self.deeper(Self::argument)?;
                Ok(Node::Call(Function::Root, vec![Node::integer(2), radicand]))
            }
            Token::Symbol('∞') => {
                self.next();
                Ok(Node::Infinity)
            }
            Token::Symbol('∅') => {
                self.next();
                Ok(Node::Set(Vec::new()))
            }
            other => Err(unreadable(format!("{} is not expected here", describe(&other)))),
        }
    }

    fn number(&mut self, digits: &Digits) -> Parsed {
        if let Some(numeral) = self.numeral()? {
            return Ok(numeral);
        }
        let rest = digits.text.get(self.within..).unwrap_or_default();
        let value = match rest.parse::<u64>() {
            Ok(value) if self.within > 0 => BigRational::from_integer(value.into()),
            _ => digits.value.clone(),
        };
        self.next();
        let whole = digits.places.is_none() && value.is_integer();
        if whole && let Some(part) = self.proper_fraction() {
            return Ok(Node::rational(value + part));
        }
        Ok(Node::Number(Literal { value, places: digits.places }))
    }

    /// The fraction of a mixed number, if one follows.
    fn proper_fraction(&mut self) -> Option<BigRational> {
        let (at, within) = (self.at, self.within);
        let found = match self.peek() {
            Some(Token::Command(name)) if is_fraction(name) => self.fraction().ok().and_then(|node| ratio(&node)),
            Some(Token::Number(part)) if part.text.is_empty() && part.value < BigRational::one() => {
                let value = part.value.clone();
                self.next();
                Some(value)
            }
            Some(Token::Number(over)) if self.spaced() => {
                let over = over.value.clone();
                match (self.ahead(1), self.ahead(2)) {
                    (Some(Token::Symbol('/')), Some(Token::Number(under))) if !under.value.is_zero() => {
                        let value = over / under.value.clone();
                        self.at += 3;
                        Some(value)
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let proper = found.filter(|value| value.is_positive() && *value < BigRational::one());
        if proper.is_none() || self.is('^') {
            (self.at, self.within) = (at, within);
            return None;
        }
        proper
    }

    pub(super) fn fraction(&mut self) -> Parsed {
        self.next();
        let over = self.deeper(Self::argument)?;
        let under = self.deeper(Self::argument)?;
        Ok(Node::Quotient(Box::new(over), Box::new(under)))
    }

    /// An argument of a command: a group, or a single digit, letter or command.
    pub(super) fn argument(&mut self) -> Parsed {
        let Some(token) = self.peek().cloned() else { return Err(unreadable("an argument is missing")) };
        match token {
            Token::Number(digits) if digits.places.is_none() && digits.text.len() > 1 => {
                let digit =
                    digits.text.as_bytes().get(self.within).map_or(0, |byte| i64::from(byte.saturating_sub(b'0')));
                self.within += 1;
                if self.within >= digits.text.len() {
                    self.next();
                }
                Ok(Node::integer(digit))
            }
            Token::Word(word) if word.len() > 1 && function(&word).is_none() => {
                let first = word[..1].to_owned();
                if let Some(spaced) = self.tokens.get_mut(self.at) {
                    spaced.token = Token::Word(word[1..].to_owned());
                }
                Ok(letter(&first))
            }
            _ => self.primary(),
        }
    }

    fn word(&mut self, word: &str) -> Parsed {
        if let Some(numeral) = self.numeral()? {
            return Ok(numeral);
        }
        if word.len() > 1
            && let Some(called) = function(word)
        {
            self.next();
            return self.deeper(|parser| parser.call(word, called));
        }
        if let Some((name, rest)) = glued(word)
            && let Some(called) = function(name)
        {
            if let Some(spaced) = self.tokens.get_mut(self.at) {
                spaced.token = Token::Word(rest.to_owned());
            }
            return self.deeper(|parser| parser.call(name, called));
        }
        if let Some(node) = named(word) {
            self.next();
            return Ok(node);
        }
        if word.len() > 1 && looks_like_word(word) && !self.is_mathematics() {
            return Err(unreadable(format!("`{word}` is not expected here")));
        }
        // One letter at a time, so that a power or an index binds to the last letter only.
        let first = word[..1].to_owned();
        if word.len() == 1 {
            self.next();
        } else if let Some(spaced) = self.tokens.get_mut(self.at) {
            spaced.token = Token::Word(word[1..].to_owned());
            spaced.space = false;
        }
        if let Some(name) = self.applied(&first) {
            let inner = self.deeper(Self::group)?;
            return Ok(Node::Apply(name, Box::new(inner)));
        }
        Ok(letter(&first))
    }

    /// The name of a function that is applied here, `f(` or `f^{-1}(`; of other letters only in `P(x) =`. Stands at the bracket then.
    fn applied(&mut self, first: &str) -> Option<String> {
        if self.is('(') && !self.spaced() {
            let defined = matches!(self.ahead(1), Some(Token::Word(_) | Token::Number(_)))
                && self.ahead(2) == Some(&Token::Symbol(')'))
                && self.ahead(3) == Some(&Token::Symbol('='));
            let function = words::is_applied(first) || (defined && words::may_be_applied(first));
            return function.then(|| first.to_owned());
        }
        let inverse = [Token::Symbol('^'), Token::Symbol('{'), Token::Symbol('-')];
        let inverse = words::is_applied(first)
            && inverse.iter().enumerate().all(|(by, token)| self.ahead(by) == Some(token))
            && matches!(self.ahead(3), Some(Token::Number(power)) if power.text == "1")
            && self.ahead(4) == Some(&Token::Symbol('}'))
            && self.ahead(5) == Some(&Token::Symbol('('));
        if inverse {
            self.at += 5;
        }
        inverse.then(|| format!("{first}^-1"))
    }

    /// Whether anything but words stands in the answer: then letters multiply.
    fn is_mathematics(&self) -> bool {
        let sign = |token: &Token| matches!(token, Token::Symbol('^' | '*' | '/' | '+'));
        self.tokens.iter().any(|spaced| sign(&spaced.token))
    }

    fn named_command(&mut self, name: &str) -> Parsed {
        if is_fraction(name) {
            return self.fraction();
        }
        if let Some(node) = named(name) {
            self.next();
            return Ok(node);
        }
        if let Some(called) = function(name) {
            self.next();
            return self.deeper(|parser| parser.call(name, called));
        }
        match name {
            "dbinom" | "tbinom" => {
                self.next();
                self.deeper(|parser| parser.call("binom", Function::Binomial))
            }
            "lfloor" | "lceil" => self.deeper(Self::rounded),
            "begin" => self.deeper(Self::matrix),
            "angle" | "triangle" => {
                self.next();
                let Some(Token::Word(corners)) = self.peek().cloned() else {
                    return Err(unreadable(format!("letters are missing after `\\{name}`")));
                };
                self.next();
                Ok(Node::Symbol(format!("{name} {corners}")))
            }
            "overline" | "bar" | "vec" | "hat" | "widehat" | "tilde" | "overrightarrow" | "widetilde" | "mathbb" => {
                self.next();
                let inner = self.deeper(Self::argument)?;
                Ok(Node::Symbol(format!("{name}({inner})")))
            }
            _ => match name.strip_prefix("mathbb") {
                Some(set) if !set.is_empty() => {
                    self.next();
                    Ok(Node::Named(set.to_owned()))
                }
                _ => Err(unreadable(format!("the command `\\{name}` is not known here"))),
            },
        }
    }
}

fn letter(name: &str) -> Node {
    named(name).unwrap_or_else(|| Node::Symbol(name.to_owned()))
}

fn is_fraction(name: &str) -> bool {
    matches!(name, "frac" | "dfrac" | "tfrac" | "cfrac")
}

fn is_structure(name: &str) -> bool {
    is_fraction(name)
        || matches!(name, "lfloor" | "lceil" | "dbinom" | "tbinom" | "begin" | "overline" | "bar" | "vec" | "hat")
}

fn ratio(node: &Node) -> Option<BigRational> {
    match node {
        Node::Quotient(over, under) => match (over.as_ref(), under.as_ref()) {
            (Node::Number(over), Node::Number(under)) if !under.value.is_zero() && over.value.is_integer() => {
                Some(&over.value / &under.value)
            }
            _ => None,
        },
        _ => None,
    }
}
