//! A value with what it is a quantity of: units after it, money before it, hours with minutes. What units mean lies in `units`.

use super::{Parsed, Parser, added, multiplied, unreadable};
use crate::verify::math::lexer::Token;
use crate::verify::math::node::Node;
use crate::verify::math::units;

impl Parser {
    /// A value with the unit that follows it.
    pub(super) fn measured(&mut self) -> Parsed {
        let money = match self.peek() {
            Some(Token::Symbol(sign @ ('$' | '€' | '£' | '¥'))) => Some(*sign),
            _ => None,
        };
        if let Some(sign) = money {
            self.next();
            let value = self.sum()?;
            let unit = self.unit()?.map_or_else(|| sign.to_string(), |rest| format!("{sign} {rest}"));
            return Ok(Node::Measure(
                Box::new(value),
                units::read(&unit.replace("$ dollars", "$").replace("$ dollar", "$")),
            ));
        }
        let negative = self.is('-') && matches!(self.ahead(1), Some(Token::Symbol('$' | '€' | '£' | '¥')));
        if negative {
            self.next();
            return Ok(match self.deeper(Self::measured)? {
                Node::Measure(value, unit) => Node::Measure(Box::new(value.negated()), unit),
                other => other.negated(),
            });
        }
        let value = self.sum()?;
        let Some(unit) = self.unit()? else { return Ok(value) };
        let unit = units::read(&unit);
        if let Some(Token::Number(_)) = self.peek()
            && !unit.is_plain()
            && let Node::Measure(rest, smaller) = self.deeper(Self::measured)?
        {
            // `3 hours 20 minutes`.
            if smaller.dimensions != unit.dimensions {
                return Err(unreadable("two units of different kinds follow each other"));
            }
            let scale = Node::rational(&smaller.factor / &unit.factor);
            return Ok(Node::Measure(Box::new(added(value, multiplied(scale, *rest))), unit));
        }
        Ok(Node::Measure(Box::new(value), unit))
    }

    /// The minutes of a time of day after its hours, `5:30 p.m.` or `12:00`: with a zero, or with a word after them, no ratio.
    pub(super) fn clock(&mut self, hours: &Node) -> Option<Node> {
        let (Node::Number(_), true, Some(Token::Number(minutes))) = (hours, self.is(':'), self.ahead(1)) else {
            return None;
        };
        let named = matches!(self.ahead(2), Some(Token::Text(_) | Token::Word(_)));
        let clock = minutes.text.len() == 2 && (minutes.text.starts_with('0') || named);
        let minutes = minutes.value.clone();
        clock.then(|| {
            self.at += 2;
            Node::rational(minutes)
        })
    }
}
