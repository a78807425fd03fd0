//! The expression language: the Common Expression Language over an event and a shopper, compiled once.
//!
//! Names: `event.*` (see [`EVENT_FIELDS`], [`PRODUCT_FIELDS`], `event.product.*` for the product at hand,
//! `event.products[0].*`, `event.properties.x` or `event.properties["x"]`), `session.*` and `user.*` (features),
//! `now` (epoch ms). Operators: arithmetic, comparison, `&&`, `||`, `!`, `in` over a list, `? :`; functions `has`,
//! `size`, `duration("20s")` (ms); on text `startsWith`, `endsWith`, `contains`, `matches` (a regular expression in
//! linear time and bounded size); over `event.products` `exists` and `all`.
//!
//! Evaluation is total. Where CEL stops with «no such field», a value here is absent: a comparison with it is false
//! (`!=` too), arithmetic with it is absent, a condition that is absent is false. Whole and other numbers compare and
//! mix by their value; dividing two whole numbers drops the rest, dividing whole numbers by zero is absent. Values of
//! different types are unequal and not ordered.

mod compile;
mod field;
mod node;
mod place;

pub use field::{EVENT_FIELDS, EventField, Field, PRODUCT_FIELDS, ProductField, Which};
pub use node::{Arithmetic, Column, Compare, Env, Node, TextTest};

use crate::{FeatureSet, Key, Val};
use midsession_event::Event;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is known of a value's type before it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// true or false.
    Bool,
    /// Whole number.
    Int,
    /// Any other number.
    Float,
    /// Text.
    Text,
    /// Known only when it is there.
    Any,
    /// A list, a map, a range: served, but no part of an expression.
    Many,
}

impl Type {
    /// Whether it can be a number.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Any)
    }

    /// How it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Text => "text",
            Self::Any => "anything",
            Self::Many => "several values",
        }
    }
}

/// What an expression may look at.
#[derive(Clone, Copy, Default)]
pub struct Scope<'s> {
    /// `session.*`, `user.*` and `now`; without it only `event.*`.
    pub features: Option<&'s FeatureSet>,
    /// Names without a root are fields of the event: `product.id` for `event.product.id`.
    pub bare: bool,
    /// Names of features without a window mean the one over this window.
    pub window: Option<&'s str>,
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// Bytes before the fault.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExprError {}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Program {
    source: String,
    pub(crate) node: Node,
    ty: Type,
    reads: Vec<(String, Node)>,
    refuted_by: RefutedBy,
}

/// Which part of a condition was false last.
///
/// Most conditions are false most of the time, and by the same part: asked first, it spares folding what the others read.
/// The parts of a condition are without effects, so their order changes nothing but the time it takes.
#[derive(Debug, Default)]
struct RefutedBy(AtomicUsize);

impl Clone for RefutedBy {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Program {
    /// Compiles an expression of any type.
    pub fn compile(source: &str, scope: Scope<'_>) -> Result<Self, ExprError> {
        compile::compile(source, scope)
    }

    /// Compiles a condition: an expression that is true or false.
    pub fn condition(source: &str, scope: Scope<'_>) -> Result<Self, ExprError> {
        let program = Self::compile(source, scope)?;
        if matches!(program.ty, Type::Bool | Type::Any) {
            return Ok(program);
        }
        Err(ExprError {
            offset: 0,
            line: 1,
            column: 1,
            message: format!("a condition is true or false, this is {}", program.ty.name()),
            hint: Some("compare it with something, like `… > 0`".to_owned()),
        })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it yields.
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Its value.
    pub fn eval<'a>(&'a self, env: &impl Env<'a>) -> Val<'a> {
        self.node.eval(env, 0)
    }

    /// Whether it is true.
    pub fn holds<'a>(&'a self, env: &impl Env<'a>) -> bool {
        let Node::And(parts) = &self.node else { return self.eval(env).is_true() };
        let likely = self.refuted_by.0.load(Ordering::Relaxed);
        if parts.get(likely).is_some_and(|part| !part.eval(env, 0).is_true()) {
            return false;
        }
        let others = parts.iter().enumerate().filter(|(position, _)| *position != likely);
        match others.into_iter().find(|(_, part)| !part.eval(env, 0).is_true()) {
            Some((position, _)) => {
                self.refuted_by.0.store(position, Ordering::Relaxed);
                false
            }
            None => true,
        }
    }

    /// Whether it is true of an event, when nothing else is known.
    pub fn holds_for_event(&self, event: &Event) -> bool {
        self.holds(&EventEnv { event, product: 0 })
    }

    /// Every path it reads with its value now; absent ones are left out.
    pub fn reads<'a, E: Env<'a>>(&'a self, env: &'a E) -> impl Iterator<Item = (&'a str, Val<'a>)> {
        self.reads.iter().map(|(path, node)| (path.as_str(), node.eval(env, 0))).filter(|(_, val)| *val != Val::Absent)
    }

    /// Every path it reads.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.reads.iter().map(|(path, _)| path.as_str())
    }

    /// Each feature in it by its number, as often as it stands there.
    pub(crate) fn each_feature(&self, each: &mut impl FnMut(u32)) {
        fn walk(node: &Node, each: &mut impl FnMut(u32)) {
            if let Node::Feature(entry) = node {
                each(*entry);
            }
            node.children().into_iter().for_each(|node| walk(node, each));
        }
        walk(&self.node, each);
    }

    /// The features it reads.
    pub fn features(&self) -> impl Iterator<Item = (Key, &str)> {
        self.paths().filter_map(|path| match path.split_once('.')? {
            ("user", name) => Some((Key::User, name)),
            ("session", name) => Some((Key::Session, name)),
            _ => None,
        })
    }

    /// What of a condition can be asked again without the event: those of its parts, joined by `&&`, that don't look
    /// at one. None where all do.
    pub fn standing(&self) -> Option<Self> {
        let parts: Vec<Node> = match &self.node {
            Node::And(parts) => parts.iter().filter(|part| !part.looks_at_event()).cloned().collect(),
            whole => [whole].into_iter().filter(|whole| !whole.looks_at_event()).cloned().collect(),
        };
        let reads = self.reads.iter().filter(|(path, _)| !path.starts_with("event.")).cloned().collect();
        (!parts.is_empty()).then(|| Self {
            node: Node::And(parts.into()),
            reads,
            ty: Type::Bool,
            source: self.source.clone(),
            refuted_by: RefutedBy::default(),
        })
    }

    /// Whether it looks at the event.
    pub fn reads_event(&self) -> bool {
        self.paths().any(|path| path.starts_with("event."))
    }
}

/// An event alone, looked at for one of its products.
#[derive(Clone, Copy, Debug)]
pub struct EventEnv<'a> {
    /// The event.
    pub event: &'a Event,
    /// Which of its products `event.product` is.
    pub product: usize,
}

impl<'a> Env<'a> for EventEnv<'a> {
    fn field(&self, field: &Field, at: usize) -> Val<'a> {
        field.get(self.event, self.product, at)
    }

    fn products(&self) -> usize {
        self.event.products.len()
    }
}
