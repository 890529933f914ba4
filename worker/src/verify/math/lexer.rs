//! Text to tokens: LaTeX and plain notation become the same few symbols; what only changes the look (sizes, thin spaces, `\left`) is
//! dropped. It knows no grammar: what tokens mean together is the parser's.

mod number;
mod symbols;

use num_rational::BigRational;

use super::units::is_known;
use super::words::function;
use super::{MAX_TOKENS, TooLarge};
use symbols::{command_symbol, is_look, unicode};

/// A token and whether white space stands before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spaced {
    pub token: Token,
    pub space: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(Digits),
    /// A run of ASCII letters.
    Word(String),
    /// A command without its backslash, of those that are not symbols.
    Command(String),
    /// What stands in `\text{}` and its like.
    Text(String),
    /// One of `+-*/^_()[]{}|,;:=<>!%&'$°√∞∪∩∈∅∖±∓≤≥≠≈€£¥`, a set's braces as `⦃⦄`, a new row as `↵`.
    Symbol(char),
}

/// A number as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Digits {
    /// Digits and at most one point; empty for a number that was not written so.
    pub text: String,
    pub value: BigRational,
    /// Digits after the point, if there is one and they end.
    pub places: Option<u32>,
}

/// Why a text has no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReadError {
    TooLarge(TooLarge),
    Unreadable(String),
}

/// The tokens of an answer.
pub(super) fn lex(text: &str) -> Result<Vec<Spaced>, ReadError> {
    let dollars = count_dollars(text);
    let mut lexer = Lexer { rest: text, tokens: Vec::new(), space: false, depth: 0, money: dollars % 2 == 1 };
    while let Some(next) = lexer.rest.chars().next() {
        lexer.one(next)?;
        if lexer.tokens.len() > MAX_TOKENS {
            return Err(ReadError::TooLarge(TooLarge::Tokens));
        }
    }
    Ok(lexer.tokens)
}

/// How many dollar signs are not escaped: in pairs they delimit mathematics.
fn count_dollars(text: &str) -> usize {
    let mut escaped = false;
    let mut count = 0;
    for c in text.chars() {
        count += usize::from(c == '$' && !escaped);
        escaped = c == '\\' && !escaped;
    }
    count
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Spaced>,
    space: bool,
    /// Open brackets in which a comma separates.
    depth: usize,
    /// A lone `$` is money.
    money: bool,
}

impl Lexer<'_> {
    fn push(&mut self, token: Token) {
        self.tokens.push(Spaced { token, space: self.space });
        self.space = false;
    }

    fn symbol(&mut self, symbol: char) {
        match symbol {
            '(' | '[' | '⦃' => self.depth += 1,
            ')' | ']' | '⦄' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.push(Token::Symbol(symbol));
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn one(&mut self, next: char) -> Result<(), ReadError> {
        if next.is_whitespace() || matches!(next, '~' | '\u{200b}' | '\u{feff}') {
            self.space = true;
            self.skip(next.len_utf8());
        } else if next == '\\' {
            self.skip(1);
            return self.command();
        } else if next.is_ascii_digit() || (next == '.' && self.rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let digits = number::read(&mut self.rest, self.depth == 0).map_err(ReadError::TooLarge)?;
            self.push(Token::Number(digits));
        } else if next.is_ascii_alphabetic() {
            if let Some(half) = ["a.m.", "p.m."].into_iter().find(|half| self.rest.starts_with(half)) {
                self.push(Token::Text(half.to_owned()));
                self.skip(half.len());
                return Ok(());
            }
            let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
            self.push(Token::Word(self.rest[..end].to_owned()));
            self.skip(end);
        } else {
            self.skip(next.len_utf8());
            return self.sign(next);
        }
        Ok(())
    }

    fn sign(&mut self, sign: char) -> Result<(), ReadError> {
        match sign {
            '$' if !self.money => self.space = true,
            '.' if self.rest.trim().is_empty() => {}
            '*' if self.rest.starts_with('*') => {
                self.skip(1);
                self.symbol('^');
            }
            '<' | '>' | '!' if self.rest.starts_with('=') => {
                self.skip(1);
                self.symbol(if sign == '<' {
                    '≤'
                } else if sign == '>' {
                    '≥'
                } else {
                    '≠'
                });
            }
            '=' if self.rest.starts_with('=') => {
                self.skip(1);
                self.symbol('=');
            }
            '+' if self.rest.starts_with("/-") => {
                self.skip(2);
                self.symbol('±');
            }
            '+' | '-' | '*' | '/' | '^' | '_' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | ',' | ';' | ':' | '='
            | '<' | '>' | '!' | '%' | '&' | '\'' | '$' => self.symbol(sign),
            _ => {
                let tokens = unicode(sign)
                    .ok_or_else(|| ReadError::Unreadable(format!("the character `{sign}` is not known here")))?;
                for token in tokens {
                    match token {
                        Token::Symbol(symbol) => self.symbol(symbol),
                        token => self.push(token),
                    }
                }
            }
        }
        Ok(())
    }

    /// After a backslash.
    fn command(&mut self) -> Result<(), ReadError> {
        let letters = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        if letters == 0 {
            let Some(sign) = self.rest.chars().next() else { return Ok(()) };
            self.skip(sign.len_utf8());
            match sign {
                '{' => self.symbol('⦃'),
                '}' => self.symbol('⦄'),
                '%' | '$' | '_' | '&' => self.symbol(sign),
                '\\' => self.symbol('↵'),
                '|' => self.symbol('|'),
                '(' | ')' | '[' | ']' | ',' | ';' | ':' | ' ' | '/' => self.space = true,
                '!' => {}
                _ => return Err(ReadError::Unreadable(format!("the command `\\{sign}` is not known here"))),
            }
            return Ok(());
        }
        let name = self.rest[..letters].to_owned();
        self.skip(letters);
        self.named(&name)
    }

    fn named(&mut self, name: &str) -> Result<(), ReadError> {
        match name {
            "left" | "right" => {
                let after = self.rest.trim_start();
                if let Some(after) = after.strip_prefix('.') {
                    self.rest = after;
                }
            }
            "text" | "textbf" | "textit" | "textrm" | "textnormal" | "mbox" | "hbox" | "mathrm" | "mathbf"
            | "mathit" | "mathsf" | "mathtt" | "operatorname" | "bf" | "rm" | "mathbb" | "mathcal" => {
                self.worded(name)?
            }
            _ if is_look(name) => self.space = true,
            _ => match command_symbol(name) {
                Some(symbol) => self.symbol(symbol),
                None => self.push(Token::Command(name.to_owned())),
            },
        }
        Ok(())
    }

    /// `\text{..}` and its like.
    fn worded(&mut self, name: &str) -> Result<(), ReadError> {
        let after = self.rest.trim_start().trim_start_matches('*');
        let Some(inner) = after.strip_prefix('{') else { return Ok(()) };
        let end =
            closing(inner).ok_or_else(|| ReadError::Unreadable(format!("the brace after `\\{name}` is not closed")))?;
        let text = inner[..end].trim();
        self.rest = &inner[end + 1..];
        match name {
            "mathbb" => self.push(Token::Command(format!("mathbb{text}"))),
            "operatorname" => self.push(Token::Command(text.to_owned())),
            _ if text.chars().all(|c| c.is_ascii_digit()) && !text.is_empty() => {
                let digits = number::read(&mut &*text, false).map_err(ReadError::TooLarge)?;
                self.push(Token::Number(digits));
            }
            _ if text.len() == 1 && (name.starts_with("math") && !matches!(name, "mathrm")) => {
                self.push(Token::Word(text.to_owned()));
            }
            "mathrm" if matches!(text, "e" | "i") => self.push(Token::Word(text.to_owned())),
            "mathrm" if function(text).is_some() && !is_known(text) => self.push(Token::Command(text.to_owned())),
            _ if text.is_empty() => self.space = true,
            _ => self.push(Token::Text(text.trim_matches('$').to_owned())),
        }
        Ok(())
    }
}

/// Where the brace that is open before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}
