//! Partition filters: the SQL-like `Expression` of `GetPartitions`.
//! <https://docs.aws.amazon.com/glue/latest/webapi/API_GetPartitions.html>
//!
//! Comparisons, `IN`, `BETWEEN`, `LIKE`, `IS NULL`, `AND`, `OR`, `NOT` and parentheses over partition keys and
//! literals. Numbers are compared as numbers where the key's type is one, everything else by its letters, which is
//! the order of ISO dates too.

use std::cmp::Ordering;

use super::{at_most, invalid, model::Column};
use crate::cloud::{error::ApiError, iam::evaluate::matches};

/// Longest expression, in bytes.
const EXPRESSION_BYTES: usize = 2048;
/// Deepest nesting of parentheses and `NOT`.
const NESTING: usize = 32;

/// A filter over the values of one table's partitions.
#[derive(Debug)]
pub(super) struct Filter {
    root: Node,
    numeric: Vec<bool>,
}

#[derive(Debug)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare { key: usize, operator: Operator, literal: String },
    In { key: usize, literals: Vec<String> },
    Between { key: usize, low: String, high: String },
    Like { key: usize, pattern: String },
    IsNull { key: usize },
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What Hive writes for a null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

impl Filter {
    /// Reads `text` against the table's partition keys.
    pub(super) fn parse(text: &str, keys: &[Column]) -> Result<Filter, ApiError> {
        at_most(text.len(), EXPRESSION_BYTES, "expression")?;
        let mut parser = Parser { tokens: tokens(text)?, at: 0, keys, depth: 0 };
        let root = parser.any_of()?;
        if let Some(rest) = parser.peek() {
            return Err(parser.refusal(&format!("{rest:?} is left over")));
        }
        Ok(Filter { root, numeric: keys.iter().map(is_numeric).collect() })
    }

    /// Whether a partition with `values` passes.
    pub(super) fn matches(&self, values: &[String]) -> bool {
        self.holds(&self.root, values)
    }

    fn holds(&self, node: &Node, values: &[String]) -> bool {
        let value = |key: &usize| values.get(*key).map_or("", String::as_str);
        match node {
            Node::And(nodes) => nodes.iter().all(|node| self.holds(node, values)),
            Node::Or(nodes) => nodes.iter().any(|node| self.holds(node, values)),
            Node::Not(node) => !self.holds(node, values),
            Node::Compare { key, operator, literal } => {
                self.order(*key, value(key), literal).is_some_and(|order| operator.admits(order))
            }
            Node::In { key, literals } => {
                literals.iter().any(|literal| self.order(*key, value(key), literal) == Some(Ordering::Equal))
            }
            Node::Between { key, low, high } => {
                self.order(*key, value(key), low).is_some_and(Ordering::is_ge)
                    && self.order(*key, value(key), high).is_some_and(Ordering::is_le)
            }
            Node::Like { key, pattern } => matches(pattern, value(key), false),
            Node::IsNull { key } => value(key) == NULL,
        }
    }

    /// `None` where a number is asked for and there is none.
    fn order(&self, key: usize, value: &str, literal: &str) -> Option<Ordering> {
        if !self.numeric[key] {
            return Some(value.cmp(literal));
        }
        match (value.parse::<i128>(), literal.parse::<i128>()) {
            (Ok(value), Ok(literal)) => Some(value.cmp(&literal)),
            _ => value.parse::<f64>().ok()?.partial_cmp(&literal.parse().ok()?),
        }
    }
}

fn is_numeric(key: &Column) -> bool {
    let kind = key.r#type.as_deref().unwrap_or("string").to_lowercase();
    let kind = kind.split('(').next().unwrap_or_default().trim();
    ["tinyint", "smallint", "int", "integer", "bigint", "long", "float", "double", "decimal"].contains(&kind)
}

impl Operator {
    fn admits(self, order: Ordering) -> bool {
        match self {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Literal(String),
    Symbol(&'static str),
}

fn tokens(text: &str) -> Result<Vec<Token>, ApiError> {
    const SYMBOLS: [&str; 10] = ["<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ","];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken;
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            tokens.push(Token::Symbol(symbol));
            taken = symbol.len();
        } else if let '\'' | '"' | '`' = first {
            let (quoted, length) = unquoted(rest, first)?;
            tokens.push(if first == '\'' { Token::Literal(quoted) } else { Token::Word(quoted) });
            taken = length;
        } else {
            let inside = |letter: char| letter.is_alphanumeric() || "_.-+".contains(letter);
            taken = rest.find(|letter| !inside(letter)).unwrap_or(rest.len());
            let word = rest[..taken].to_owned();
            match first {
                _ if taken == 0 => {
                    return Err(invalid(format!("Unsupported expression '{text}': '{first}' is not understood")));
                }
                '0'..='9' | '-' | '+' | '.' => tokens.push(Token::Literal(word)),
                _ => tokens.push(Token::Word(word)),
            }
        }
        rest = rest[taken..].trim_start();
    }
    Ok(tokens)
}

/// What stands between the quotes that `text` begins with, and how long it is with them. A doubled quote is one.
fn unquoted(text: &str, quote: char) -> Result<(String, usize), ApiError> {
    let mut inner = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != quote {
            inner.push(letter);
        } else if letters.next_if(|(_, next)| *next == quote).is_some() {
            inner.push(quote);
        } else {
            return Ok((inner, at + quote.len_utf8()));
        }
    }
    Err(invalid(format!("Unsupported expression: the quote that begins {text} does not end")))
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    keys: &'a [Column],
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn refusal(&self, what: &str) -> ApiError {
        invalid(format!("Unsupported expression: {what} (at part {} of it)", self.at + 1))
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(found);
        found
    }

    fn takes_symbol(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(symbol)) if *symbol == wanted);
        self.at += usize::from(found);
        found
    }

    fn expect_symbol(&mut self, wanted: &str) -> Result<(), ApiError> {
        if self.takes_symbol(wanted) { Ok(()) } else { Err(self.refusal(&format!("`{wanted}` is missing"))) }
    }

    fn any_of(&mut self) -> Result<Node, ApiError> {
        let mut nodes = vec![self.all_of()?];
        while self.takes_word("or") {
            nodes.push(self.all_of()?);
        }
        Ok(Node::Or(nodes))
    }

    fn all_of(&mut self) -> Result<Node, ApiError> {
        let mut nodes = vec![self.one()?];
        while self.takes_word("and") {
            nodes.push(self.one()?);
        }
        Ok(Node::And(nodes))
    }

    fn one(&mut self) -> Result<Node, ApiError> {
        self.depth += 1;
        if self.depth > NESTING {
            return Err(self.refusal(&format!("it is nested more than {NESTING} deep")));
        }
        let node = if self.takes_word("not") {
            Node::Not(Box::new(self.one()?))
        } else if self.takes_symbol("(") {
            let inner = self.any_of()?;
            self.expect_symbol(")")?;
            inner
        } else {
            self.predicate()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn predicate(&mut self) -> Result<Node, ApiError> {
        let key = self.key()?;
        if self.takes_word("is") {
            let negated = self.takes_word("not");
            return match self.takes_word("null") {
                true => Ok(negate(negated, Node::IsNull { key })),
                false => Err(self.refusal("IS is not followed by NULL")),
            };
        }
        let negated = self.takes_word("not");
        let node = if self.takes_word("in") {
            Node::In { key, literals: self.literals()? }
        } else if self.takes_word("between") {
            let low = self.literal()?;
            if !self.takes_word("and") {
                return Err(self.refusal("BETWEEN has no AND"));
            }
            Node::Between { key, low, high: self.literal()? }
        } else if self.takes_word("like") {
            // SQL's wildcards, as the ones that policies use.
            let pattern = self.literal()?.replace('%', "*").replace('_', "?");
            Node::Like { key, pattern }
        } else if negated {
            return Err(self.refusal("NOT is not followed by IN, BETWEEN or LIKE"));
        } else {
            Node::Compare { key, operator: self.operator()?, literal: self.literal()? }
        };
        Ok(negate(negated, node))
    }

    fn key(&mut self) -> Result<usize, ApiError> {
        let Some(Token::Word(name)) = self.next() else {
            self.at -= 1;
            return Err(self.refusal("a partition key is missing"));
        };
        self.keys.iter().position(|key| key.name.eq_ignore_ascii_case(&name)).ok_or_else(|| {
            let known: Vec<_> = self.keys.iter().map(|key| key.name.as_str()).collect();
            invalid(format!("Unsupported expression: {name} is not a partition key; there are: {}", known.join(", ")))
        })
    }

    fn operator(&mut self) -> Result<Operator, ApiError> {
        let operator = match self.next() {
            Some(Token::Symbol("=")) => Operator::Equal,
            Some(Token::Symbol("<>" | "!=")) => Operator::NotEqual,
            Some(Token::Symbol("<")) => Operator::Less,
            Some(Token::Symbol("<=")) => Operator::LessOrEqual,
            Some(Token::Symbol(">")) => Operator::Greater,
            Some(Token::Symbol(">=")) => Operator::GreaterOrEqual,
            _ => {
                self.at -= 1;
                return Err(self.refusal("a comparison is missing"));
            }
        };
        Ok(operator)
    }

    fn literal(&mut self) -> Result<String, ApiError> {
        match self.next() {
            Some(Token::Literal(literal)) => Ok(literal),
            _ => {
                self.at -= 1;
                Err(self.refusal("a literal ('text' or a number) is missing"))
            }
        }
    }

    fn literals(&mut self) -> Result<Vec<String>, ApiError> {
        self.expect_symbol("(")?;
        let mut literals = vec![self.literal()?];
        while self.takes_symbol(",") {
            literals.push(self.literal()?);
        }
        self.expect_symbol(")")?;
        Ok(literals)
    }
}

fn negate(negated: bool, node: Node) -> Node {
    if negated { Node::Not(Box::new(node)) } else { node }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<Column> {
        let column = |name: &str, kind: &str| Column {
            name: name.into(),
            r#type: Some(kind.into()),
            comment: None,
            parameters: None,
        };
        vec![column("year", "int"), column("day", "date"), column("who", "string")]
    }

    fn passes(expression: &str) -> bool {
        let values = ["2013".to_owned(), "2013-02-01".to_owned(), "o'hara".to_owned()];
        Filter::parse(expression, &keys()).unwrap().matches(&values)
    }

    #[test]
    fn comparisons_follow_the_keys_type() {
        assert!(passes("year = 2013 AND day='2013-02-01'"));
        assert!(passes("YEAR > 900"), "as numbers, not as letters");
        assert!(!passes("who > 'z'"));
        assert!(passes("who = 'o''hara'"));
        assert!(passes("day >= '2013-01-31' and day < '2013-02-02'"));
    }

    #[test]
    fn and_binds_closer_than_or_and_parentheses_group() {
        assert!(passes("year = 2013 OR year = 1 AND who = 'x'"));
        assert!(!passes("(year = 2013 OR year = 1) AND who = 'x'"));
        assert!(passes("NOT (year = 1) AND year <> 2"));
    }

    #[test]
    fn lists_ranges_patterns_and_nulls() {
        assert!(passes("year IN (2012, 2013)"));
        assert!(!passes("year NOT IN (2012, 2013)"));
        assert!(passes("day BETWEEN '2013-01-01' AND '2013-12-31'"));
        assert!(passes("who LIKE 'o_ha%'"));
        assert!(passes("who IS NOT NULL"));
    }

    #[test]
    fn what_is_not_understood_is_refused_never_ignored() {
        let long = "(".repeat(100);
        for text in ["year", "year =", "other = 1", "year = 1 2", "year ~ 1", "who = 'x", "upper(who) = 'X'", "", &long]
        {
            assert_eq!(Filter::parse(text, &keys()).unwrap_err().code, "InvalidInputException", "{text}");
        }
    }
}
