//! Matrices: `\begin{pmatrix} a & b \\ c & d \end{pmatrix}` and its like. Rows must be of equal length.

use super::{Parsed, Parser, unreadable};
use crate::verify::math::lexer::Token;
use crate::verify::math::node::Node;

impl Parser {
    /// At `\begin`.
    pub(super) fn matrix(&mut self) -> Parsed {
        self.next();
        let name = self.environment()?;
        if !matches!(name.as_str(), "pmatrix" | "bmatrix" | "matrix" | "Bmatrix" | "smallmatrix" | "array") {
            return Err(unreadable(format!("the environment `{name}` is not known here")));
        }
        if name == "array" && self.is('{') {
            // The alignment of the columns.
            while !self.is('}') && self.peek().is_some() {
                self.next();
            }
            self.expect('}')?;
        }
        let mut rows = vec![Vec::new()];
        loop {
            if let Some(row) = rows.last_mut() {
                row.push(self.item()?);
            }
            if self.eat('&') {
                continue;
            }
            if self.eat('↵') && !self.at_end() {
                rows.push(Vec::new());
                continue;
            }
            break;
        }
        if !self.at_end() {
            return Err(unreadable("`\\end` is missing after a matrix"));
        }
        self.next();
        if self.environment()? != name {
            return Err(unreadable("a matrix ends in another environment than it begins"));
        }
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err(unreadable("the rows of a matrix differ in length"));
        }
        Ok(Node::Matrix(rows))
    }

    fn at_end(&self) -> bool {
        self.peek() == Some(&Token::Command("end".to_owned()))
    }

    /// `{name}`.
    fn environment(&mut self) -> Result<String, super::ReadError> {
        self.expect('{')?;
        let name = match self.peek() {
            Some(Token::Word(word)) => word.clone(),
            _ => return Err(unreadable("an environment has no name")),
        };
        self.next();
        self.expect('}')?;
        Ok(name)
    }
}
