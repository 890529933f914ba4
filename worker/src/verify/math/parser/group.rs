//! Brackets and calls: what stands in parentheses, braces and bars, and the arguments of functions.

use super::{Parsed, Parser, unreadable};
use crate::verify::math::lexer::Token;
use crate::verify::math::node::{Bracket, Function, Node};
use crate::verify::math::words::{arity, inverse, takes_bare};

impl Parser {
    /// `( )`, `[ ]`, `{ }`, `\{ \}` or `| |`.
    pub(super) fn group(&mut self) -> Parsed {
        let Some(Token::Symbol(open)) = self.peek().cloned() else { return Err(unreadable("a bracket is missing")) };
        self.next();
        if open == '|' {
            return self.bars();
        }
        let bars = std::mem::take(&mut self.bars);
        let node = match open {
            '⦃' => self.set('⦄'),
            '{' => self.braces(),
            _ => self.tuple(open),
        };
        self.bars = bars;
        node
    }

    fn bars(&mut self) -> Parsed {
        self.bars += 1;
        let inner = self.list()?;
        self.bars -= 1;
        self.expect('|')?;
        Ok(Node::Call(Function::Abs, vec![inner]))
    }

    fn set(&mut self, close: char) -> Parsed {
        if self.eat(close) {
            return Ok(Node::Set(Vec::new()));
        }
        let inner = self.list()?;
        self.expect(close)?;
        Ok(Node::Set(items(inner)))
    }

    /// Braces group; with commas they are a set written without backslashes.
    fn braces(&mut self) -> Parsed {
        if self.eat('}') {
            return Ok(Node::Set(Vec::new()));
        }
        let inner = self.list()?;
        if self.peek() == Some(&Token::Command("choose".to_owned())) {
            self.next();
            let of = self.list()?;
            self.expect('}')?;
            return Ok(Node::Call(Function::Binomial, vec![inner, of]));
        }
        self.expect('}')?;
        Ok(match inner {
            Node::List(_, items) => Node::Set(items),
            other => other,
        })
    }

    fn tuple(&mut self, open: char) -> Parsed {
        let inner = self.list()?;
        let close = if self.eat(')') {
            Bracket::Round
        } else {
            self.expect(']')?;
            Bracket::Square
        };
        let open = if open == '(' { Bracket::Round } else { Bracket::Square };
        match inner {
            Node::List(_, items) => Ok(Node::Tuple(open, items, close)),
            other if open == close => Ok(other),
            _ => Err(unreadable("an interval needs two ends")),
        }
    }

    /// `\lfloor x \rfloor` and `\lceil x \rceil`.
    pub(super) fn rounded(&mut self) -> Parsed {
        let floor = self.peek() == Some(&Token::Command("lfloor".to_owned()));
        self.next();
        let inner = self.list()?;
        let close = if floor { "rfloor" } else { "rceil" };
        if self.peek() != Some(&Token::Command(close.to_owned())) {
            return Err(unreadable(format!("`\\{close}` is missing")));
        }
        self.next();
        Ok(Node::Call(if floor { Function::Floor } else { Function::Ceil }, vec![inner]))
    }

    /// A call, after the function's name.
    pub(super) fn call(&mut self, name: &str, called: Function) -> Parsed {
        let mut called = called;
        let mut first = match (called, name) {
            (Function::Root, "cbrt") => Some(Node::integer(3)),
            (Function::Root, _) => self.degree()?.or_else(|| Some(Node::integer(2))),
            (Function::Log, _) => Some(self.index()?.unwrap_or_else(|| Node::integer(10))),
            _ => None,
        };
        let mut power = None;
        if self.eat('^') {
            let raised = self.exponent()?;
            match inverse(called) {
                Some(other) if raised == Node::integer(-1) || raised == Node::integer(1).negated() => called = other,
                _ => power = Some(raised),
            }
        }
        if called == Function::Log && first == Some(Node::integer(10)) && self.is('_') {
            first = self.index()?;
        }
        let mut arguments = self.arguments(called)?;
        if let Some(first) = first {
            match arguments.len() {
                1 => arguments.insert(0, first),
                // `log(x, b)` and `root(x, n)`.
                _ => arguments.reverse(),
            }
        }
        let (least, most) = arity(called);
        if !(least..=most).contains(&arguments.len()) {
            return Err(unreadable(format!("`{name}` does not take {} arguments", arguments.len())));
        }
        let node = Node::Call(called, arguments);
        Ok(match power {
            Some(power) => Node::Power(Box::new(node), Box::new(power)),
            None => node,
        })
    }

    fn arguments(&mut self, called: Function) -> Result<Vec<Node>, super::ReadError> {
        if called == Function::Binomial && self.is('{') {
            return Ok(vec![self.deeper(Self::argument)?, self.deeper(Self::argument)?]);
        }
        if called == Function::Root && !self.is('(') {
            return Ok(vec![self.radicand()?]);
        }
        if self.is('(') || self.is('{') || self.is('[') {
            return Ok(match self.deeper(Self::group)? {
                Node::Tuple(_, items, _) | Node::Set(items) => items,
                other => vec![other],
            });
        }
        if !takes_bare(called) {
            return Err(unreadable("a function's brackets are missing"));
        }
        Ok(vec![self.bare()?])
    }

    /// A whole number, or what a command's argument is.
    fn radicand(&mut self) -> Parsed {
        match self.peek() {
            Some(Token::Number(_)) => self.primary(),
            _ => self.deeper(Self::argument),
        }
    }

    /// An argument without brackets: a product up to a sign or the next function.
    fn bare(&mut self) -> Parsed {
        let mut argument = if self.eat('-') { self.factor()?.negated() } else { self.factor()? };
        while self.starts_factor() && !self.at_call() && !self.is('(') {
            let next = self.factor()?;
            argument = super::multiplied(argument, next);
        }
        Ok(argument)
    }

    fn at_call(&self) -> bool {
        match self.peek() {
            Some(Token::Command(name)) => {
                crate::verify::math::words::function(name).is_some_and(|called| called != Function::Root)
            }
            Some(Token::Word(name)) => name.len() > 1 && crate::verify::math::words::function(name).is_some(),
            _ => false,
        }
    }

    /// The degree of a root in square brackets.
    fn degree(&mut self) -> Result<Option<Node>, super::ReadError> {
        if !self.is('[') {
            return Ok(None);
        }
        self.next();
        let degree = self.deeper(Self::list)?;
        self.expect(']')?;
        Ok(Some(degree))
    }

    /// The base of a logarithm.
    fn index(&mut self) -> Result<Option<Node>, super::ReadError> {
        if !self.eat('_') {
            return Ok(None);
        }
        match self.peek() {
            Some(Token::Number(_)) => self.primary().map(Some),
            _ => self.deeper(Self::argument).map(Some),
        }
    }
}

fn items(node: Node) -> Vec<Node> {
    match node {
        Node::List(_, items) => items,
        other => vec![other],
    }
}
