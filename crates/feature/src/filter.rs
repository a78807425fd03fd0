//! Predicates over facts: a condition on the event, worked out for each kind of fact ahead of time.

use crate::expr::{Column, Compare, Env, EventEnv, Field, Node, Program, Type, Which};
use crate::{Val, Value};
use midsession_event::{Event, EventName, hash64};
use midsession_machine::{Derived, Fact, FactKind, Names};

/// Kinds of facts in a dense order: the native names, then cart, derived and custom.
pub(crate) const KINDS: usize = EventName::NATIVE.len() + 3;
const CART: usize = EventName::NATIVE.len();
const DERIVED: usize = CART + 1;
const CUSTOM: usize = CART + 2;

/// The place of a kind in the dense order.
pub(crate) fn dense(kind: FactKind) -> usize {
    let kind = kind.base();
    match kind {
        FactKind::CART => CART,
        FactKind::DERIVED => DERIVED,
        FactKind(native) if usize::from(native) < EventName::NATIVE.len() => usize::from(native),
        _ => CUSTOM,
    }
}

/// What a feature takes from facts of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Take {
    /// The dense kind.
    pub kind: usize,
    /// Holds for the fact; none is always.
    pub test: Option<Node>,
    /// What of it is folded.
    pub of: Of,
    /// What is folded is money: facts in two currencies don't mix.
    pub money: bool,
    /// The slot of derived facts.
    pub slot: u32,
}

/// What of a fact is folded.
#[derive(Clone, Debug)]
pub(crate) enum Of {
    /// Nothing: the fact itself counts.
    Nothing,
    /// A column as it is.
    Column(Column),
    /// A number worked out from columns.
    Number(Node),
}

/// A predicate over more than a fact's columns: worked out at write time.
#[derive(Clone, Debug)]
pub(crate) struct Derive {
    pub slot: u32,
    when: Option<Program>,
    of: Option<Program>,
    per_product: bool,
}

/// How a condition and what it folds are had from facts.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// From the columns: exact for the past too.
    Columns(Vec<Take>),
    /// From facts written for it from now on.
    Derived(Box<Derive>, Take),
}

/// The field is not in this kind of fact.
struct NotThere;

/// Finds out how to have `of` of the events for which `when` holds.
pub(crate) fn plan(when: Option<&Program>, of: Option<&Program>) -> Plan {
    let kinds = if reads_only_cart_total(when, of) { CART..CART + 1 } else { 0..KINDS };
    let takes: Result<Vec<_>, NotThere> = kinds
        .filter(|kind| *kind != DERIVED && (*kind != CART || reads_only_cart_total(when, of)))
        .filter_map(|kind| take(kind, when, of).transpose())
        .collect();
    match takes {
        Ok(takes) => Plan::Columns(takes),
        Err(NotThere) => {
            let derive = Derive::new(when, of);
            let of = match of.map(Program::ty) {
                None => Of::Nothing,
                Some(Type::Int | Type::Float) => Of::Column(Column::Value),
                Some(_) => Of::Column(Column::Product),
            };
            let take = Take { kind: DERIVED, test: None, of, money: false, slot: derive.slot };
            Plan::Derived(Box::new(derive), take)
        }
    }
}

fn reads_only_cart_total(when: Option<&Program>, of: Option<&Program>) -> bool {
    let mut paths = [when, of].into_iter().flatten().flat_map(Program::paths).peekable();
    paths.peek().is_some() && paths.all(|path| path == "event.cart.total_value")
}

fn take(kind: usize, when: Option<&Program>, of: Option<&Program>) -> Result<Option<Take>, NotThere> {
    let only_native = [when, of].into_iter().flatten().all(|program| names_only_native(&program.node));
    let mut leaf = |node: &Node| match node {
        // A custom event keeps its name to itself; that it is none of the native ones is all that is asked here.
        Node::Field(Field::Event(row)) if kind == CUSTOM && only_native && row.path == "name" => {
            Ok(Node::Const(Some(Value::Text("(custom)".into()))))
        }
        Node::Field(field) => on_kind(kind, field),
        Node::Products => Err(NotThere),
        other => Ok(other.clone()),
    };
    let test = match when {
        None => None,
        Some(when) => match when.node.map(&mut leaf)? {
            Node::Const(Some(Value::Bool(true))) => None,
            Node::Const(_) => return Ok(None),
            test => Some(test),
        },
    };
    let of = match of {
        None => Of::Nothing,
        Some(of) => match of.node.map(&mut leaf)? {
            Node::Const(None) => return Ok(None),
            Node::Column(column) => Of::Column(column),
            node if matches!(of.ty(), Type::Int | Type::Float) => Of::Number(node),
            _ => return Err(NotThere),
        },
    };
    let money = match &of {
        Of::Nothing => false,
        Of::Column(column) => is_money(&Node::Column(*column)),
        Of::Number(node) => is_money(node),
    };
    Ok(Some(Take { kind, test, of, money, slot: 0 }))
}

fn is_money(node: &Node) -> bool {
    matches!(node, Node::Column(Column::Value | Column::Revenue)) || node.children().into_iter().any(is_money)
}

/// Whether the event's name is only ever compared with native names.
fn names_only_native(node: &Node) -> bool {
    let is_name = |node: &Node| matches!(node, Node::Field(Field::Event(row)) if row.path == "name");
    let is_native = |node: &Node| match node {
        Node::Const(Some(Value::Text(text))) => !matches!(EventName::from(text.as_str()), EventName::Custom(_)),
        _ => false,
    };
    match node {
        Node::Compare(Compare::Equal | Compare::NotEqual, nodes) if nodes.iter().any(is_name) => {
            nodes.iter().any(is_native)
        }
        Node::In(name, list) if is_name(name) => list.iter().all(is_native),
        node => !is_name(node) && node.children().into_iter().all(names_only_native),
    }
}

/// What a field is on facts of a kind: a constant, a column, or not there.
fn on_kind(kind: usize, field: &Field) -> Result<Node, NotThere> {
    let native = EventName::NATIVE.get(kind);
    let is_order = matches!(native, Some(EventName::Transaction | EventName::Refund));
    match (field, native) {
        (Field::Event(row), Some(name)) if row.path == "name" => {
            Ok(Node::Const(Some(Value::Text(name.as_str().into()))))
        }
        (Field::Event(row), _) if row.path == "order.revenue" => {
            // By the vocabulary only orders and refunds have one.
            if is_order { Ok(Node::Column(Column::Revenue)) } else { Ok(Node::Const(None)) }
        }
        (Field::Event(row), None) if row.path == "cart.total_value" && kind == CART => Ok(Node::Column(Column::Value)),
        (Field::Product(Which::Current, row), _) if !is_order => match row.path {
            "id" => Ok(Node::Column(Column::Product)),
            "price" => Ok(Node::Column(Column::Value)),
            "quantity" => Ok(Node::Column(Column::Quantity)),
            _ => Err(NotThere),
        },
        (Field::Category, _) if !is_order => Ok(Node::Column(Column::Category)),
        _ => Err(NotThere),
    }
}

impl Derive {
    fn new(when: Option<&Program>, of: Option<&Program>) -> Self {
        let text = |program: Option<&Program>| program.map_or("", Program::source).to_owned();
        let slot = hash64(&["derived", &text(when), &text(of)]) as u32;
        let per_product = of.is_some()
            && [when, of].into_iter().flatten().flat_map(Program::paths).any(|path| path.starts_with("event.product."));
        // 0 means «none» in a fact.
        Self { slot: slot.max(1), when: when.cloned(), of: of.cloned(), per_product }
    }

    /// Writes what there is for this event.
    pub fn derive(&self, event: &Event, out: &mut Vec<Derived>) {
        let products = if self.per_product { event.products.len().max(1) } else { 1 };
        for product in 0..products {
            let env = EventEnv { event, product };
            if self.when.as_ref().is_some_and(|when| !when.holds(&env)) {
                continue;
            }
            let (value, text) = match self.of.as_ref().map(|of| of.eval(&env)) {
                None => (None, None),
                Some(Val::Absent) => continue,
                Some(Val::Text(text)) => (None, Some(text.into())),
                Some(Val::Bool(bool)) => (None, Some(bool.to_string().into())),
                Some(number) => match self.of.as_ref().map(Program::ty) {
                    Some(Type::Int | Type::Float) => (number.as_f64(), None),
                    // A property of no known type is folded as text.
                    _ => (None, number.to_value().map(|value| value.to_string().into())),
                },
            };
            out.push(Derived { slot: self.slot, value, text });
        }
    }
}

/// A fact, looked at by an expression over columns.
pub(crate) struct FactEnv<'a> {
    pub fact: &'a Fact,
    pub names: &'a Names,
}

impl<'a> Env<'a> for FactEnv<'a> {
    fn column(&self, column: Column) -> Val<'a> {
        let fact = self.fact;
        match column {
            Column::Product => Val::text(self.names.name(fact.product)),
            Column::Category => Val::text(self.names.name(fact.category)),
            Column::Value => Val::number(fact.value),
            Column::Revenue => Val::number(revenue(fact)),
            // A quantity belongs to a product.
            Column::Quantity if fact.product == 0 => Val::Absent,
            Column::Quantity => Val::Int(i64::from(fact.quantity)),
        }
    }
}

/// The revenue; an order without one may have left a product's price instead.
pub(crate) fn revenue(fact: &Fact) -> f64 {
    if fact.product == 0 { fact.value } else { f64::NAN }
}
