//! What a parsed answer is, and how it is written for people. No rule of equality lives here.

use std::fmt;

use num_rational::BigRational;
use num_traits::{One, Signed};

use super::units::Unit;

/// An answer or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Number(Literal),
    Constant(Constant),
    Infinity,
    Symbol(String),
    /// A function by name only: `f(x)`.
    Apply(String, Box<Node>),
    Sum(Vec<Node>),
    Product(Vec<Node>),
    Negative(Box<Node>),
    Quotient(Box<Node>, Box<Node>),
    Power(Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    /// Two values; `true` where the upper sign is plus.
    PlusMinus(Box<Node>, Box<Node>, bool),
    Measure(Box<Node>, Unit),
    /// Ordered, with its brackets.
    Tuple(Bracket, Vec<Node>, Bracket),
    Set(Vec<Node>),
    /// Without brackets.
    List(Joint, Vec<Node>),
    Union(Vec<Node>),
    Meet(Vec<Node>),
    Without(Box<Node>, Box<Node>),
    /// `mathbbR` and its like, by their letter.
    Named(String),
    Matrix(Vec<Vec<Node>>),
    Relation(Box<Node>, Vec<(Sign, Node)>),
    Text(String),
}

/// A number as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    pub value: BigRational,
    /// Digits after the point, if it was written as a decimal.
    pub places: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Constant {
    Pi,
    E,
    I,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
}

/// What stands between the items of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    Comma,
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    Less,
    Greater,
    AtMost,
    AtLeast,
    Unequal,
    Within,
    About,
}

impl Sign {
    pub(super) fn of(symbol: char) -> Option<Self> {
        Some(match symbol {
            '=' => Self::Equal,
            '<' => Self::Less,
            '>' => Self::Greater,
            '≤' => Self::AtMost,
            '≥' => Self::AtLeast,
            '≠' => Self::Unequal,
            '∈' => Self::Within,
            '≈' => Self::About,
            _ => return None,
        })
    }

    /// The sign read from right to left.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::Greater => Self::Less,
            Self::AtMost => Self::AtLeast,
            Self::AtLeast => Self::AtMost,
            Self::Equal | Self::Unequal | Self::Within | Self::About => self,
        }
    }

    pub(super) fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::Greater | Self::AtMost | Self::AtLeast)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Unequal => "!=",
            Self::Within => "in",
            Self::About => "~",
        }
    }
}

/// Functions with a value. Angles are radians; `Log` is (base, argument), `Root` is (degree, radicand).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Exp,
    Ln,
    Log,
    Root,
    Abs,
    Floor,
    Ceil,
    Factorial,
    Binomial,
    Gcd,
    Lcm,
    Min,
    Max,
}

impl Node {
    pub(super) fn integer(value: i64) -> Self {
        Self::Number(Literal { value: BigRational::from_integer(value.into()), places: None })
    }

    pub(super) fn rational(value: BigRational) -> Self {
        Self::Number(Literal { value, places: None })
    }

    pub(super) fn negated(self) -> Self {
        Self::Negative(Box::new(self))
    }

    /// Binding strength for writing: 0 lists .. 5 atoms.
    fn strength(&self) -> u8 {
        match self {
            Self::List(..) => 0,
            Self::Relation(..) => 1,
            Self::Sum(_) | Self::Negative(_) | Self::PlusMinus(..) | Self::Measure(..) => 2,
            Self::Union(_) | Self::Meet(_) | Self::Without(..) => 2,
            Self::Product(_) | Self::Quotient(..) => 3,
            Self::Number(Literal { value, .. }) if value.is_negative() || !value.denom().is_one() => 3,
            Self::Power(..) => 4,
            _ => 5,
        }
    }
}

/// `node`, in brackets if it binds less than `least`.
struct Inner<'a>(&'a Node, u8);

impl fmt::Display for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.strength() < self.1 { write!(f, "({})", self.0) } else { self.0.fmt(f) }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, nodes: &[Node], between: &str, least: u8) -> fmt::Result {
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        write!(f, "{}", Inner(node, least))?;
    }
    Ok(())
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(literal) => literal.value.fmt(f),
            Self::Constant(Constant::Pi) => f.write_str("pi"),
            Self::Constant(Constant::E) => f.write_str("e"),
            Self::Constant(Constant::I) => f.write_str("i"),
            Self::Infinity => f.write_str("oo"),
            Self::Symbol(name) | Self::Named(name) | Self::Text(name) => f.write_str(name),
            Self::Apply(name, inner) => write!(f, "{name}({inner})"),
            Self::Sum(terms) => joined(f, terms, " + ", 3),
            Self::Product(factors) => joined(f, factors, "*", 4),
            Self::Negative(inner) => write!(f, "-{}", Inner(inner, 3)),
            Self::Quotient(over, under) => write!(f, "{}/{}", Inner(over, 4), Inner(under, 4)),
            Self::Power(base, power) => write!(f, "{}^{}", Inner(base, 5), Inner(power, 5)),
            Self::PlusMinus(left, right, upper) => {
                write!(f, "{} {} {}", Inner(left, 2), if *upper { "+-" } else { "-+" }, Inner(right, 3))
            }
            Self::Call(function, arguments) => {
                write!(f, "{}(", format!("{function:?}").to_lowercase())?;
                joined(f, arguments, ", ", 1)?;
                f.write_str(")")
            }
            Self::Measure(value, unit) => write!(f, "{} {}", Inner(value, 2), unit.label),
            Self::Tuple(open, items, close) => {
                f.write_str(if *open == Bracket::Round { "(" } else { "[" })?;
                joined(f, items, ", ", 1)?;
                f.write_str(if *close == Bracket::Round { ")" } else { "]" })
            }
            _ => self.group(f),
        }
    }
}

impl Node {
    /// The rest of `Display`: what holds several answers.
    fn group(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(items) => {
                f.write_str("{")?;
                joined(f, items, ", ", 1)?;
                f.write_str("}")
            }
            Self::List(joint, items) => {
                let between = match joint {
                    Joint::Comma => ", ",
                    Joint::And => " and ",
                    Joint::Or => " or ",
                };
                joined(f, items, between, 1)
            }
            Self::Union(parts) => joined(f, parts, " u ", 3),
            Self::Meet(parts) => joined(f, parts, " n ", 3),
            Self::Without(all, less) => write!(f, "{} \\ {}", Inner(all, 3), Inner(less, 3)),
            Self::Matrix(rows) => {
                f.write_str("[")?;
                for (at, row) in rows.iter().enumerate() {
                    f.write_str(if at > 0 { "; " } else { "" })?;
                    joined(f, row, " ", 3)?;
                }
                f.write_str("]")
            }
            Self::Relation(first, rest) => {
                write!(f, "{}", Inner(first, 2))?;
                for (sign, node) in rest {
                    write!(f, " {} {}", sign.text(), Inner(node, 2))?;
                }
                Ok(())
            }
            // All others are written by `Display`.
            _ => Ok(()),
        }
    }
}
