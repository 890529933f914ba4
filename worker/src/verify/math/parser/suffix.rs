//! What follows a factor: powers, indices, factorials, percent and degrees, units, and the base of a numeral.

use num_bigint::BigInt;

use super::{Parsed, Parser, ReadError, joint, unreadable};
use crate::verify::math::lexer::Token;
use crate::verify::math::node::{Function, Node};
use crate::verify::math::units;
use crate::verify::math::words::{base_word, looks_like_word};

impl Parser {
    pub(super) fn factor(&mut self) -> Parsed {
        let mut node = self.primary()?;
        let mut marks = 0;
        loop {
            self.chained(marks)?;
            marks += 1;
            node = match self.peek() {
                Some(Token::Symbol('^')) => match self.marked() {
                    Some(mark) => self.mark(node, mark),
                    None => {
                        self.next();
                        let power = self.exponent()?;
                        Node::Power(Box::new(node), Box::new(power))
                    }
                },
                Some(Token::Symbol('_')) => self.indexed(node)?,
                Some(Token::Symbol('!')) => {
                    self.next();
                    Node::Call(Function::Factorial, vec![node])
                }
                Some(Token::Symbol('\'')) => {
                    self.next();
                    Node::Symbol(format!("{node}'"))
                }
                Some(Token::Symbol('%')) => {
                    self.next();
                    Node::Measure(Box::new(node), units::read("%"))
                }
                Some(Token::Symbol('°')) => self.degrees(node),
                _ => return Ok(node),
            };
        }
    }

    /// A power by a mark, `^\circ` or `^\prime`, in braces or not: the mark and how many tokens it takes.
    fn marked(&self) -> Option<(char, usize)> {
        let mark = |token: Option<&Token>| match token {
            Some(Token::Symbol(mark @ ('°' | '\''))) => Some(*mark),
            _ => None,
        };
        if let Some(found) = mark(self.ahead(1)) {
            return Some((found, 1));
        }
        let braced = self.ahead(1) == Some(&Token::Symbol('{')) && self.ahead(3) == Some(&Token::Symbol('}'));
        mark(self.ahead(2)).filter(|_| braced).map(|found| (found, 3))
    }

    fn mark(&mut self, node: Node, (mark, tokens): (char, usize)) -> Node {
        self.at += tokens;
        if mark == '°' {
            return self.degrees(node);
        }
        self.next();
        Node::Symbol(format!("{node}'"))
    }

    /// At the last token of a degree sign.
    fn degrees(&mut self, node: Node) -> Node {
        self.next();
        let scale = match self.peek() {
            Some(Token::Word(scale) | Token::Text(scale)) if matches!(scale.trim(), "C" | "F") => {
                format!("°{}", scale.trim())
            }
            _ => "°".to_owned(),
        };
        if scale.len() > "°".len() {
            self.next();
        }
        Node::Measure(Box::new(node), units::read(&scale))
    }

    /// After `^`: a group, or a number, letter or command, with signs and powers of its own.
    pub(super) fn exponent(&mut self) -> Parsed {
        self.deeper(|parser| {
            if parser.eat('-') {
                return Ok(parser.exponent()?.negated());
            }
            parser.eat('+');
            let base = match parser.peek() {
                Some(Token::Word(word)) if word.len() > 1 => parser.argument()?,
                _ => parser.primary()?,
            };
            if parser.is('^') && parser.marked().is_none() {
                parser.next();
                let power = parser.exponent()?;
                return Ok(Node::Power(Box::new(base), Box::new(power)));
            }
            Ok(base)
        })
    }

    fn indexed(&mut self, node: Node) -> Parsed {
        let name = match &node {
            Node::Symbol(name) => name.clone(),
            Node::Constant(_) => node.to_string(),
            _ => return Err(unreadable("an index may follow a letter or a numeral only")),
        };
        self.next();
        let index = match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.next();
                text
            }
            Some(Token::Symbol('{')) if matches!(self.ahead(1), Some(Token::Text(_))) => {
                let text = self.ahead(1).map(super::describe).unwrap_or_default();
                self.at += 2;
                self.expect('}')?;
                text
            }
            Some(Token::Number(_)) => self.primary()?.to_string(),
            _ => self.deeper(Self::argument)?.to_string(),
        };
        Ok(Node::Symbol(format!("{name}_{index}")))
    }

    /// A numeral of another base, `1A3_{16}`: its value.
    pub(super) fn numeral(&mut self) -> Result<Option<Node>, ReadError> {
        if self.within > 0 {
            return Ok(None);
        }
        let (mut digits, mut by) = (String::new(), 0);
        loop {
            match self.tokens.get(self.at + by) {
                Some(spaced) if by > 0 && spaced.space => return Ok(None),
                Some(spaced) => match &spaced.token {
                    Token::Number(number) if number.places.is_none() && !number.text.is_empty() => {
                        digits.push_str(&number.text)
                    }
                    Token::Word(word) if word.chars().all(|c| c.is_ascii_uppercase()) && (word.len() > 1 || by > 0) => {
                        digits.push_str(word);
                    }
                    Token::Symbol('_') if by > 0 => break,
                    _ => return Ok(None),
                },
                None => return Ok(None),
            }
            by += 1;
        }
        let Some((base, tokens)) = self.base(by + 1) else { return Ok(None) };
        if digits.chars().any(|c| c.is_ascii_uppercase()) && base <= 10 {
            return Ok(None);
        }
        let value = (2..=36).contains(&base).then(|| BigInt::parse_bytes(digits.as_bytes(), base)).flatten();
        let value = value.ok_or_else(|| unreadable(format!("`{digits}` is no numeral of base {base}")))?;
        self.at += by + 1 + tokens;
        self.within = 0;
        Ok(Some(Node::rational(value.into())))
    }

    /// The base that stands `by` tokens ahead, and how many tokens it takes.
    fn base(&self, by: usize) -> Option<(u32, usize)> {
        let read = |token: &Token| match token {
            Token::Number(number) if number.places.is_none() => number.text.parse().ok(),
            Token::Text(word) | Token::Word(word) => base_word(word.trim()),
            _ => None,
        };
        let first = self.ahead(by)?;
        if let Some(base) = read(first) {
            return Some((base, 1));
        }
        let braced = *first == Token::Symbol('{') && self.ahead(by + 2) == Some(&Token::Symbol('}'));
        let base = read(self.ahead(by + 1)?).filter(|_| braced)?;
        Some((base, 3))
    }

    /// Whether the `/` here divides units: `/\text{h}`.
    pub(super) fn divides_units(&self) -> bool {
        match self.ahead(1) {
            Some(Token::Text(_)) => true,
            Some(Token::Word(word)) => word.len() > 1 && units::is_known(word),
            _ => false,
        }
    }

    /// Whether the `/` here goes on with a unit in single letters: `m/s`.
    fn divides_letters(&self, unit: &str) -> bool {
        !unit.is_empty() && matches!(self.ahead(1), Some(Token::Word(word)) if units::is_known(word))
    }

    /// The unit or the counted thing that follows a value, as text.
    pub(super) fn unit(&mut self) -> Result<Option<String>, ReadError> {
        let mut text = String::new();
        loop {
            let piece = match self.peek() {
                Some(Token::Text(words)) if joint(words).is_none() && words.trim() != "," => words.clone(),
                Some(Token::Word(word)) if !matches!(word.as_str(), "and" | "or" | "in" | "U") => {
                    if !text.is_empty() || word.len() == 1 || units::is_known(word) || looks_like_word(word) {
                        word.clone()
                    } else {
                        break;
                    }
                }
                Some(Token::Symbol('$')) if self.at + 1 == self.tokens.len() => "$".to_owned(),
                Some(Token::Symbol('€' | '£' | '¥')) => self.peek().map(super::symbol_text).unwrap_or_default(),
                Some(Token::Symbol('/')) if self.divides_units() || self.divides_letters(&text) => "/".to_owned(),
                Some(Token::Symbol('*')) if !text.is_empty() && matches!(self.ahead(1), Some(Token::Text(_))) => {
                    "*".to_owned()
                }
                Some(Token::Symbol('^')) if !text.is_empty() => self.unit_power()?,
                _ => break,
            };
            self.next();
            if text.len() + piece.len() > 200 {
                return Err(unreadable("the words after the value are too many for a unit"));
            }
            text.push(' ');
            text.push_str(&piece);
        }
        Ok((!text.trim().is_empty()).then_some(text))
    }

    /// `^2` or `^{2}`; stands at its last token afterwards.
    fn unit_power(&mut self) -> Result<String, ReadError> {
        let braced = self.ahead(1) == Some(&Token::Symbol('{'));
        let negative = self.ahead(1 + usize::from(braced)) == Some(&Token::Symbol('-'));
        let at = 1 + usize::from(braced) + usize::from(negative);
        let Some(Token::Number(number)) = self.ahead(at) else {
            return Err(unreadable("a unit's power must be a number"));
        };
        let text = format!("^{}{}", if negative { "-" } else { "" }, number.text);
        self.at += at + usize::from(braced);
        Ok(text)
    }
}
