//! The tree an expression is compiled to, and how it is evaluated.

use super::Field;
use crate::{Val, Value};
use std::cmp::Ordering;

/// What an expression looks at while it runs. What a source doesn't have is absent.
pub trait Env<'a> {
    /// A field of the event; `at` is the product that a loop is at.
    fn field(&self, _field: &Field, _at: usize) -> Val<'a> {
        Val::Absent
    }

    /// How many products the event has.
    fn products(&self) -> usize {
        0
    }

    /// A feature, by its number in the set.
    fn feature(&self, _entry: u32) -> Val<'a> {
        Val::Absent
    }

    /// The instant. Epoch ms.
    fn now_ms(&self) -> Val<'a> {
        Val::Absent
    }

    /// A column of a fact.
    fn column(&self, _column: Column) -> Val<'a> {
        Val::Absent
    }
}

/// Nothing to look at: for constants.
pub(crate) struct Nothing;
impl Env<'_> for Nothing {}

/// A column of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Product id, or a derived text.
    Product,
    /// Category, or the list's name.
    Category,
    /// Price, total, or a derived number.
    Value,
    /// Revenue of an order or refund.
    Revenue,
    /// Quantity.
    Quantity,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl Compare {
    /// Whether it holds for two values in this order; none where they have none.
    pub(crate) fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// A test of one text for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// `startsWith`
    Starts,
    /// `endsWith`
    Ends,
    /// `contains`
    Contains,
}

/// One node of the tree.
#[derive(Clone, Debug)]
pub enum Node {
    /// Known already; none is absent.
    Const(Option<Value>),
    /// A field of the event.
    Field(Field),
    /// A column of a fact.
    Column(Column),
    /// A feature by its number.
    Feature(u32),
    /// The instant.
    Now,
    /// How many products the event has.
    Products,
    /// `!`
    Not(Box<Node>),
    /// `&&`
    And(Box<[Node]>),
    /// `||`
    Or(Box<[Node]>),
    /// A comparison.
    Compare(Compare, Box<[Node; 2]>),
    /// Arithmetic.
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    /// Unary minus.
    Negate(Box<Node>),
    /// `c ? a : b`
    If(Box<[Node; 3]>),
    /// `x in [..]`
    In(Box<Node>, Box<[Node]>),
    /// `has(x)`
    Has(Box<Node>),
    /// `size(text)` in characters.
    Size(Box<Node>),
    /// A test of text.
    Text(TextTest, Box<[Node; 2]>),
    /// A regular expression.
    Matches(Box<Node>, regex::Regex),
    /// `event.products.exists(p, …)`
    Exists(Box<Node>),
    /// `event.products.all(p, …)`
    All(Box<Node>),
}

impl Node {
    /// Its value; `at` is the product that a loop around it is at.
    pub fn eval<'a, E: Env<'a>>(&'a self, env: &E, at: usize) -> Val<'a> {
        match self {
            Self::Const(value) => value.as_ref().map_or(Val::Absent, Value::as_val),
            Self::Field(field) => env.field(field, at),
            Self::Column(column) => env.column(*column),
            Self::Feature(entry) => env.feature(*entry),
            Self::Now => env.now_ms(),
            Self::Products => Val::Int(env.products() as i64),
            Self::Not(node) => Val::Bool(!node.eval(env, at).is_true()),
            Self::And(nodes) => Val::Bool(nodes.iter().all(|node| node.eval(env, at).is_true())),
            Self::Or(nodes) => Val::Bool(nodes.iter().any(|node| node.eval(env, at).is_true())),
            Self::Compare(op, nodes) => Val::Bool(compare(*op, nodes[0].eval(env, at), nodes[1].eval(env, at))),
            Self::Arithmetic(op, nodes) => arithmetic(*op, nodes[0].eval(env, at), nodes[1].eval(env, at)),
            Self::Negate(node) => match node.eval(env, at) {
                Val::Int(int) => int.checked_neg().map_or(Val::Absent, Val::Int),
                Val::Float(float) => Val::Float(-float),
                _ => Val::Absent,
            },
            Self::If(nodes) => {
                let branch = if nodes[0].eval(env, at).is_true() { &nodes[1] } else { &nodes[2] };
                branch.eval(env, at)
            }
            Self::In(node, list) => {
                let wanted = node.eval(env, at);
                Val::Bool(list.iter().any(|item| compare(Compare::Equal, wanted, item.eval(env, at))))
            }
            Self::Has(node) => Val::Bool(node.eval(env, at) != Val::Absent),
            Self::Size(node) => match node.eval(env, at) {
                Val::Text(text) => Val::Int(text.chars().count() as i64),
                _ => Val::Absent,
            },
            Self::Text(test, nodes) => match (nodes[0].eval(env, at), nodes[1].eval(env, at)) {
                (Val::Text(text), Val::Text(part)) => Val::Bool(match test {
                    TextTest::Starts => text.starts_with(part),
                    TextTest::Ends => text.ends_with(part),
                    TextTest::Contains => text.contains(part),
                }),
                _ => Val::Bool(false),
            },
            Self::Matches(node, regex) => match node.eval(env, at) {
                Val::Text(text) => Val::Bool(regex.is_match(text)),
                _ => Val::Bool(false),
            },
            Self::Exists(body) => Val::Bool((0..env.products()).any(|index| body.eval(env, index).is_true())),
            Self::All(body) => Val::Bool((0..env.products()).all(|index| body.eval(env, index).is_true())),
        }
    }

    /// Whether anything of the event is looked at.
    pub(crate) fn looks_at_event(&self) -> bool {
        matches!(self, Self::Field(_) | Self::Products | Self::Exists(_) | Self::All(_))
            || self.children().into_iter().any(Self::looks_at_event)
    }

    /// The nodes right below.
    pub fn children(&self) -> Vec<&Node> {
        match self {
            Self::Const(_) | Self::Field(_) | Self::Column(_) | Self::Feature(_) | Self::Now | Self::Products => vec![],
            Self::Not(node) | Self::Negate(node) | Self::Has(node) | Self::Size(node) | Self::Matches(node, _) => {
                vec![node.as_ref()]
            }
            Self::Exists(node) | Self::All(node) => vec![node.as_ref()],
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().collect(),
            Self::In(node, list) => std::iter::once(node.as_ref()).chain(list.iter()).collect(),
            Self::Compare(_, nodes) | Self::Arithmetic(_, nodes) | Self::Text(_, nodes) => nodes.iter().collect(),
            Self::If(nodes) => nodes.iter().collect(),
        }
    }

    /// The same with every leaf put through `leaf`, and what became constant worked out.
    pub(crate) fn map<X>(&self, leaf: &mut impl FnMut(&Node) -> Result<Node, X>) -> Result<Node, X> {
        let mut one = |node: &Node| node.map(leaf).map(Box::new);
        let mapped = match self {
            Self::Not(node) => Self::Not(one(node)?),
            Self::Negate(node) => Self::Negate(one(node)?),
            Self::Has(node) => Self::Has(one(node)?),
            Self::Size(node) => Self::Size(one(node)?),
            Self::Matches(node, regex) => Self::Matches(one(node)?, regex.clone()),
            Self::Exists(node) => Self::Exists(one(node)?),
            Self::All(node) => Self::All(one(node)?),
            Self::And(nodes) => Self::And(map_unless(nodes, false, leaf)?),
            Self::Or(nodes) => Self::Or(map_unless(nodes, true, leaf)?),
            Self::In(node, list) => Self::In(one(node)?, map_all(list, leaf)?),
            Self::Compare(op, nodes) => Self::Compare(*op, Box::new([nodes[0].map(leaf)?, nodes[1].map(leaf)?])),
            Self::Arithmetic(op, nodes) => Self::Arithmetic(*op, Box::new([nodes[0].map(leaf)?, nodes[1].map(leaf)?])),
            Self::Text(test, nodes) => Self::Text(*test, Box::new([nodes[0].map(leaf)?, nodes[1].map(leaf)?])),
            Self::If(nodes) => Self::If(Box::new([nodes[0].map(leaf)?, nodes[1].map(leaf)?, nodes[2].map(leaf)?])),
            Self::Const(_) | Self::Field(_) | Self::Column(_) | Self::Feature(_) | Self::Now | Self::Products => {
                leaf(self)?
            }
        };
        Ok(mapped.folded())
    }

    /// Some together; one that is true or false is itself.
    fn together(nodes: Vec<Node>, all: fn(Box<[Node]>) -> Node) -> Self {
        let is_truth = |node: &Node| {
            matches!(
                node,
                Node::Not(_)
                    | Node::And(_)
                    | Node::Or(_)
                    | Node::Compare(..)
                    | Node::In(..)
                    | Node::Has(_)
                    | Node::Text(..)
                    | Node::Matches(..)
                    | Node::Exists(_)
                    | Node::All(_)
            )
        };
        match <[Node; 1]>::try_from(nodes) {
            Ok([only]) if is_truth(&only) => only,
            Ok(one) => all(Box::new(one)),
            Err(nodes) => all(nodes.into()),
        }
    }

    /// With constant parts worked out, one level deep.
    pub(crate) fn folded(self) -> Self {
        let is = |node: &Node, truth: bool| matches!(node, Node::Const(Some(Value::Bool(bool))) if *bool == truth);
        let is_const = |node: &Node| matches!(node, Node::Const(_));
        let constant = match &self {
            Self::And(nodes) if nodes.iter().any(|node| is(node, false)) => return truth(false),
            Self::Or(nodes) if nodes.iter().any(|node| is(node, true)) => return truth(true),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().all(is_const),
            Self::If(nodes) if is_const(&nodes[0]) => {
                let branch = if is(&nodes[0], true) { &nodes[1] } else { &nodes[2] };
                return branch.clone();
            }
            Self::Not(node) | Self::Negate(node) | Self::Has(node) | Self::Size(node) | Self::Matches(node, _) => {
                is_const(node)
            }
            Self::In(node, list) => is_const(node) && list.iter().all(is_const),
            Self::Compare(_, nodes) | Self::Arithmetic(_, nodes) | Self::Text(_, nodes) => nodes.iter().all(is_const),
            _ => false,
        };
        if constant {
            return Self::Const(self.eval(&Nothing, 0).to_value());
        }
        match self {
            // What is always true adds nothing to the rest.
            Self::And(nodes) if nodes.iter().any(|node| is(node, true)) => {
                Self::together(nodes.into_iter().filter(|node| !is(node, true)).collect(), Self::And)
            }
            Self::Or(nodes) if nodes.iter().any(|node| is(node, false)) => {
                Self::together(nodes.into_iter().filter(|node| !is(node, false)).collect(), Self::Or)
            }
            other => other,
        }
    }
}

fn truth(bool: bool) -> Node {
    Node::Const(Some(Value::Bool(bool)))
}

fn map_all<X>(nodes: &[Node], leaf: &mut impl FnMut(&Node) -> Result<Node, X>) -> Result<Box<[Node]>, X> {
    nodes.iter().map(|node| node.map(leaf)).collect()
}

/// As [`map_all`]; where one is what decides over all, the others need not be had.
fn map_unless<X>(
    nodes: &[Node],
    deciding: bool,
    leaf: &mut impl FnMut(&Node) -> Result<Node, X>,
) -> Result<Box<[Node]>, X> {
    let mapped: Vec<_> = nodes.iter().map(|node| node.map(leaf)).collect();
    let decides =
        |node: &Result<Node, X>| matches!(node, Ok(Node::Const(Some(Value::Bool(bool)))) if *bool == deciding);
    if mapped.iter().any(decides) { Ok(Box::new([truth(deciding)])) } else { mapped.into_iter().collect() }
}

fn compare(op: Compare, a: Val<'_>, b: Val<'_>) -> bool {
    let order = match (a, b) {
        (Val::Absent, _) | (_, Val::Absent) => return false,
        (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
        (Val::Int(a), Val::Int(b)) => Some(a.cmp(&b)),
        (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(&b)),
        _ => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
    };
    op.holds(order)
}

fn arithmetic<'a>(op: Arithmetic, a: Val<'a>, b: Val<'a>) -> Val<'a> {
    if let (Val::Int(a), Val::Int(b)) = (a, b) {
        let result = match op {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::Divide => a.checked_div(b),
            Arithmetic::Remainder => a.checked_rem(b),
        };
        return result.map_or(Val::Absent, Val::Int);
    }
    let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else { return Val::Absent };
    Val::number(match op {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::Remainder => a % b,
    })
}
