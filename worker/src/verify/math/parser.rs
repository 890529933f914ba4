//! Tokens to a tree: lists, relations, unions, sums and products; what binds tighter lies in the submodules. It decides how
//! ambiguous notation is read and refuses what it does not know; it never guesses at the meaning of words in the middle.

mod group;
mod matrix;
mod primary;
mod quantity;
mod suffix;

use super::lexer::{ReadError, Spaced, Token};
use super::node::{Joint, Node, Sign};
use super::words::looks_like_word;
use super::{MAX_DEPTH, TooLarge};

type Parsed = Result<Node, ReadError>;

/// The tree of an answer.
pub(super) fn parse(tokens: Vec<Spaced>) -> Parsed {
    if let Some(words) = only_words(&tokens) {
        return Ok(Node::Text(words));
    }
    let mut parser = Parser { tokens, at: 0, within: 0, depth: 0, bars: 0, links: 0 };
    let node = parser.list()?;
    parser.skip_stops();
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(unreadable(format!("{} is not expected here", describe(token)))),
    }
}

/// An answer in words, in one form: small letters, single spaces, no marks around.
fn only_words(tokens: &[Spaced]) -> Option<String> {
    let mut any = false;
    let mut text = String::new();
    for Spaced { token, space } in tokens {
        if *space && !text.is_empty() {
            text.push(' ');
        }
        match token {
            Token::Word(word) => {
                any |= looks_like_word(word) && !matches!(word.as_str(), "and" | "or");
                text.push_str(word);
            }
            Token::Text(words) => {
                any |= joint(words).is_none();
                text.push_str(words);
            }
            Token::Symbol('\'' | '!' | '-' | '(' | ')') => {}
            _ => return None,
        }
    }
    any.then(|| normal_text(&text))
}

/// Text in one form: small letters, single spaces, no marks around.
pub(super) fn normal_text(text: &str) -> String {
    let small = text.to_lowercase();
    let words: Vec<&str> = small.split_whitespace().collect();
    words.join(" ").trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
}

fn unreadable(what: impl Into<String>) -> ReadError {
    ReadError::Unreadable(what.into())
}

fn describe(token: &Token) -> String {
    match token {
        Token::Number(digits) => format!("the number {}", digits.value),
        Token::Word(word) | Token::Text(word) => format!("`{word}`"),
        Token::Command(name) => format!("`\\{name}`"),
        Token::Symbol(symbol) => format!("`{symbol}`"),
    }
}

fn joint(text: &str) -> Option<Joint> {
    match text.trim().trim_matches(',').trim() {
        "and" => Some(Joint::And),
        "or" => Some(Joint::Or),
        _ => None,
    }
}

struct Parser {
    tokens: Vec<Spaced>,
    at: usize,
    /// Digits already taken of the number at `at`.
    within: usize,
    depth: usize,
    /// Open absolute values.
    bars: usize,
    /// Links of chains such as `1/2/3` and `5!!`, which nest without brackets.
    links: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> Option<&Token> {
        self.tokens.get(self.at + by).map(|spaced| &spaced.token)
    }

    fn spaced(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|spaced| spaced.space)
    }

    fn next(&mut self) {
        self.at += 1;
        self.within = 0;
    }

    fn is(&self, symbol: char) -> bool {
        self.peek() == Some(&Token::Symbol(symbol))
    }

    fn eat(&mut self, symbol: char) -> bool {
        let here = self.is(symbol);
        if here {
            self.next();
        }
        here
    }

    fn expect(&mut self, symbol: char) -> Result<(), ReadError> {
        if self.eat(symbol) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "the end".to_owned(), describe);
        Err(unreadable(format!("`{symbol}` is expected where {found} stands")))
    }

    /// Runs `inner` one level deeper.
    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ReadError::TooLarge(TooLarge::Depth));
        }
        let node = inner(self);
        self.depth -= 1;
        node
    }

    /// Counts a link of a chain that nests, from the second on.
    fn chained(&mut self, link: usize) -> Result<(), ReadError> {
        self.links += usize::from(link > 1);
        if self.links > MAX_DEPTH { Err(ReadError::TooLarge(TooLarge::Depth)) } else { Ok(()) }
    }

    fn skip_stops(&mut self) {
        while self.at + 1 == self.tokens.len() && (self.is(',') || self.is(';')) {
            self.next();
        }
    }

    /// Items with commas, semicolons, `and` or `or` between; one item alone is itself.
    fn list(&mut self) -> Parsed {
        let mut items = vec![self.item()?];
        let mut kind = Joint::Comma;
        while let Some(found) = self.joint() {
            if self.peek().is_none() {
                break;
            }
            if found != Joint::Comma {
                kind = found;
            }
            items.push(self.item()?);
        }
        if items.len() == 1 {
            return items.pop().ok_or_else(|| unreadable("nothing"));
        }
        Ok(Node::List(kind, items))
    }

    fn joint(&mut self) -> Option<Joint> {
        let mut found = None;
        loop {
            let here = match self.peek()? {
                Token::Symbol(',' | ';') => Joint::Comma,
                Token::Word(word) | Token::Text(word) => match joint(word) {
                    Some(joint) => joint,
                    None if word.trim() == "," => Joint::Comma,
                    None => return found,
                },
                _ => return found,
            };
            if found == Some(Joint::Comma) && here == Joint::Comma {
                return found;
            }
            found = Some(here);
            self.next();
            if self.peek().is_none() {
                return found;
            }
        }
    }

    /// A relation, a union, a quantity, or a word.
    fn item(&mut self) -> Parsed {
        if let Some(Token::Text(words)) = self.peek() {
            let words = words.clone();
            let label = words.trim_end().ends_with(':');
            self.next();
            match self.peek() {
                None | Some(Token::Symbol(',' | ';' | ')' | ']' | '}' | '⦄' | '=')) => {
                    return self.relation(Node::Text(normal_text(&words)));
                }
                _ if label => {}
                _ => return Err(unreadable(format!("`{words}` is not expected here"))),
            }
        }
        let first = self.united()?;
        self.relation(first)
    }

    fn relation(&mut self, first: Node) -> Parsed {
        let mut rest = Vec::new();
        loop {
            let sign = match self.peek() {
                Some(Token::Symbol(symbol)) => Sign::of(*symbol),
                Some(Token::Word(word)) if word == "in" => Some(Sign::Within),
                _ => None,
            };
            let Some(sign) = sign else { break };
            self.next();
            if let Some(Token::Text(words)) = self.peek()
                && sign == Sign::Equal
            {
                let words = normal_text(words);
                self.next();
                rest.push((sign, Node::Text(words)));
            } else {
                rest.push((sign, self.united()?));
            }
        }
        Ok(if rest.is_empty() { first } else { Node::Relation(Box::new(first), rest) })
    }

    /// Unions, intersections and differences of sets, from left to right.
    fn united(&mut self) -> Parsed {
        let mut left = self.measured()?;
        loop {
            let Some(Token::Symbol(symbol @ ('∪' | '∩' | '∖'))) = self.peek() else {
                if self.peek() != Some(&Token::Word("U".to_owned()))
                    || !matches!(left, Node::Tuple(..) | Node::Union(_))
                {
                    return Ok(left);
                }
                self.next();
                left = gathered(left, self.measured()?);
                continue;
            };
            let symbol = *symbol;
            self.next();
            let right = self.measured()?;
            left = match symbol {
                '∪' => gathered(left, right),
                '∩' => Node::Meet(vec![left, right]),
                _ => Node::Without(Box::new(left), Box::new(right)),
            };
        }
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.signed_term()?;
        let mut signs = 0;
        loop {
            let Some(Token::Symbol(symbol @ ('+' | '-' | '±' | '∓'))) = self.peek() else { return Ok(left) };
            let symbol = *symbol;
            self.next();
            let right = self.signed_term()?;
            left = match symbol {
                '+' => added(left, right),
                '-' => added(left, right.negated()),
                _ => {
                    signs += 1;
                    self.chained(signs)?;
                    Node::PlusMinus(Box::new(left), Box::new(right), symbol == '±')
                }
            };
        }
    }

    /// A product with the signs before it.
    fn signed_term(&mut self) -> Parsed {
        let mut negative = false;
        loop {
            if self.eat('-') {
                negative = !negative;
            } else if !self.eat('+') {
                break;
            }
        }
        if self.is('±') || self.is('∓') {
            let upper = self.is('±');
            self.next();
            let term = self.product()?;
            return Ok(Node::PlusMinus(Box::new(Node::integer(0)), Box::new(term), upper != negative));
        }
        let term = self.product()?;
        Ok(if negative { term.negated() } else { term })
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.factor()?;
        let mut links = 0;
        loop {
            if self.eat('*') {
                let right = self.signed_factor()?;
                left = multiplied(left, right);
            } else if let Some(minutes) = self.clock(&left) {
                left = added(left, Node::Quotient(Box::new(minutes), Box::new(Node::integer(60))));
            } else if self.divides(&left) {
                links += 1;
                self.chained(links)?;
                self.next();
                let right = self.signed_factor()?;
                left = Node::Quotient(Box::new(left), Box::new(right));
            } else if self.starts_factor() {
                let right = self.factor()?;
                left = multiplied(left, right);
            } else {
                return Ok(left);
            }
        }
    }

    /// A fraction's bar, or the colon of a ratio.
    fn divides(&self, left: &Node) -> bool {
        let ratio = self.is(':') && matches!(left, Node::Number(_) | Node::Quotient(..));
        ratio || self.is('/') && !self.divides_units()
    }

    fn signed_factor(&mut self) -> Parsed {
        let mut negative = false;
        loop {
            if self.eat('-') {
                negative = !negative;
            } else if !self.eat('+') {
                break;
            }
        }
        let factor = self.factor()?;
        Ok(if negative { factor.negated() } else { factor })
    }
}

fn added(left: Node, right: Node) -> Node {
    match left {
        Node::Sum(mut terms) => {
            terms.push(right);
            Node::Sum(terms)
        }
        left => Node::Sum(vec![left, right]),
    }
}

fn multiplied(left: Node, right: Node) -> Node {
    match left {
        Node::Product(mut factors) => {
            factors.push(right);
            Node::Product(factors)
        }
        left => Node::Product(vec![left, right]),
    }
}

fn gathered(left: Node, right: Node) -> Node {
    match left {
        Node::Union(mut parts) => {
            parts.push(right);
            Node::Union(parts)
        }
        left => Node::Union(vec![left, right]),
    }
}

fn symbol_text(token: &Token) -> String {
    match token {
        Token::Symbol(symbol) => symbol.to_string(),
        _ => String::new(),
    }
}
