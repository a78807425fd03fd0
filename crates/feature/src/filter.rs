//! Predicates over facts: a condition on the event, worked out for each kind of fact ahead of time.

use crate::amount::AmountOf;
use crate::decimal::nearest_to;
use crate::entry::Takes;
use crate::expr::{Column, Compare, Env, EventEnv, Field, Node, Program, Type, Which};
use crate::{Val, Value};
use midsession_event::{ContextKind, Event, EventName, Str, hash64};
use midsession_machine::{Derived, Fact, FactKind, Names};

/// Kinds of facts in a dense order: the native names, then cart, derived and custom.
pub(crate) const KINDS: usize = EventName::NATIVE.len() + 3;
const _: () = assert!(KINDS <= u32::BITS as usize, "`Feature::kinds` has a bit for each");
const CART: usize = EventName::NATIVE.len();
pub(crate) const DERIVED: usize = CART + 1;
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
    pub test: Option<Test>,
    /// What of it is folded.
    pub of: Of,
    /// What is folded is money: facts in two currencies don't mix.
    pub money: bool,
    /// The slot of derived facts.
    pub slot: u32,
    /// The text of `by`, beside the number, is the product.
    pub by: bool,
    /// It is about the first product of an event: facts of further ones are passed over.
    pub first_only: bool,
    /// An event counts also where it has nothing of what is folded.
    pub valueless: bool,
}

/// What is asked of events: a condition, what is folded of those that meet it, and what tells the numbers apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'p> {
    pub when: Option<&'p Program>,
    pub of: Option<&'p Program>,
    pub by: Option<&'p Program>,
    /// Texts are ordered by their arrival.
    pub arrival: bool,
    /// Numbers are worked out in decimals, and an event without one counts, too.
    pub decimals: bool,
}

impl<'p> Asked<'p> {
    fn programs(self) -> impl Iterator<Item = &'p Program> {
        [self.when, self.of, self.by].into_iter().flatten()
    }
}

/// A condition on a fact.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// A number of it against a constant: most conditions are this, and it is asked of each fact in a window.
    Number(Column, Compare, f64),
    /// Anything else.
    Node(Node),
}

impl Test {
    fn of(node: Node) -> Self {
        if let Node::Compare(op, sides) = &node
            && let [Node::Column(column @ (Column::Value | Column::Revenue)), Node::Const(Some(than))] = sides.as_ref()
            && let Some(than) = than.as_val().as_f64()
        {
            return Self::Number(*column, *op, than);
        }
        Self::Node(node)
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, fact: &Fact, names: &Names) -> bool {
        match self {
            Self::Number(column, op, than) => {
                let number = if *column == Column::Revenue { revenue(fact) } else { fact.value };
                // What is absent compares to nothing.
                !number.is_nan() && op.holds(number.partial_cmp(than))
            }
            Self::Node(node) => node.eval(&FactEnv { fact, names }, 0).is_true(),
        }
    }
}

/// What of a fact is folded.
#[derive(Clone, Debug)]
pub(crate) enum Of {
    /// Nothing: the fact itself counts.
    Nothing,
    /// A column as it is.
    Column(Column),
    /// A derived text, with the number that it was.
    Typed,
    /// The text, with when it was received.
    Arrival,
    /// A number worked out from columns.
    Number(Node),
    /// Likewise in decimals; none is a derived number, with how many decimals it has as its text.
    Decimal(Option<Node>),
}

/// A predicate over more than a fact's columns: worked out at write time.
#[derive(Clone, Debug)]
pub(crate) struct Derive {
    pub slot: u32,
    when: Option<Program>,
    of: Option<Program>,
    by: Option<Program>,
    arrival: bool,
    decimals: bool,
    /// Each product of an event is looked at.
    per_product: bool,
    /// And each is written: what is folded is of the product, not of the event.
    folds_each: bool,
    amount_of: Option<AmountOf>,
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

/// Finds out how to have what is asked.
pub(crate) fn plan(asked: Asked<'_>) -> Plan {
    // Without a condition an event counts that has no cart, too.
    let cart_only = reads_only_cart_total(asked) && !(asked.decimals && asked.when.is_none());
    let kinds = if cart_only { CART..CART + 1 } else { 0..KINDS };
    let takes: Result<Vec<_>, NotThere> = match asked.arrival {
        // When an event arrived is in no column.
        true => Err(NotThere),
        false => kinds
            .filter(|kind| *kind != DERIVED && (*kind != CART || cart_only))
            .filter_map(|kind| take(kind, asked).transpose())
            .collect(),
    };
    match takes {
        Ok(takes) => Plan::Columns(takes),
        Err(NotThere) => {
            let derive = Derive::new(asked);
            let of = match asked.of.map(Program::ty) {
                None => Of::Nothing,
                Some(Type::Int | Type::Float) if asked.decimals => Of::Decimal(None),
                Some(Type::Int | Type::Float) => Of::Column(Column::Value),
                Some(_) if asked.arrival => Of::Arrival,
                Some(Type::Any | Type::Bool) => Of::Typed,
                Some(_) => Of::Column(Column::Product),
            };
            let by = asked.by.is_some();
            let money = derive.amount_of.is_some();
            let (slot, valueless) = (derive.slot, asked.decimals);
            let take = Take { kind: DERIVED, test: None, of, money, slot, by, first_only: false, valueless };
            Plan::Derived(Box::new(derive), take)
        }
    }
}

/// Takes by the dense kind of their facts.
pub(crate) fn by_kind(takes: Vec<Take>) -> Takes {
    let mut by_kind = [const { None }; KINDS];
    for take in takes {
        let kind = take.kind;
        by_kind[kind] = Some(Box::new(take));
    }
    by_kind
}

fn reads_only_cart_total(asked: Asked<'_>) -> bool {
    let mut paths = asked.programs().flat_map(Program::paths).peekable();
    paths.peek().is_some() && paths.all(|path| path == "event.cart.total_value")
}

fn take(kind: usize, asked: Asked<'_>) -> Result<Option<Take>, NotThere> {
    let only_native = asked.programs().all(|program| names_only_native(&program.node));
    let (mut of_first, mut of_each) = (false, false);
    let mut leaf = |node: &Node| match node {
        // A custom event keeps its name to itself; that it is none of the native ones is all that is asked here.
        Node::Field(Field::Event(row)) if kind == CUSTOM && only_native && row.path == "name" => {
            Ok(Node::Const(Some(Value::Text("(custom)".into()))))
        }
        Node::Field(field) => {
            let column = on_kind(kind, field)?;
            if matches!(column, Node::Column(_)) {
                of_first |= matches!(field, Field::Product(Which::At(_), _));
                of_each |= matches!(field, Field::Product(Which::Current, _) | Field::Category);
            }
            Ok(column)
        }
        Node::Products => Err(NotThere),
        other => Ok(other.clone()),
    };
    let test = match asked.when {
        None => None,
        Some(when) => match when.node.map(&mut leaf)? {
            Node::Const(Some(Value::Bool(true))) => None,
            Node::Const(_) => return Ok(None),
            test => Some(Test::of(test)),
        },
    };
    let of = match asked.of {
        None => Of::Nothing,
        Some(of) => match of.node.map(&mut leaf)? {
            Node::Const(None) if !asked.decimals => return Ok(None),
            Node::Column(column) => Of::Column(column),
            node if matches!(of.ty(), Type::Int | Type::Float) && asked.decimals => Of::Decimal(Some(node)),
            node if matches!(of.ty(), Type::Int | Type::Float) => Of::Number(node),
            _ => return Err(NotThere),
        },
    };
    let by = match asked.by {
        None => false,
        Some(by) => match by.node.map(&mut leaf)? {
            Node::Column(Column::Product) => true,
            Node::Const(None) => return Ok(None),
            _ => return Err(NotThere),
        },
    };
    if of_first && of_each {
        return Err(NotThere);
    }
    let money = match &of {
        Of::Nothing | Of::Typed | Of::Arrival | Of::Decimal(None) => false,
        Of::Column(column) => is_money(&Node::Column(*column)),
        Of::Number(node) | Of::Decimal(Some(node)) => is_money(node),
    };
    Ok(Some(Take { kind, test, of, money, slot: 0, by, first_only: of_first, valueless: asked.decimals }))
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
    let is_order = native.is_some_and(EventName::is_order);
    match (field, native) {
        (Field::Event(row), Some(name)) if row.path == "name" => {
            Ok(Node::Const(Some(Value::Text(name.as_str().into()))))
        }
        (Field::Event(row), _) if row.path == "order.revenue" => {
            // By the vocabulary only orders and refunds have one.
            if is_order { Ok(Node::Column(Column::Revenue)) } else { Ok(Node::Const(None)) }
        }
        (Field::Event(row), None) if row.path == "cart.total_value" && kind == CART => Ok(Node::Column(Column::Value)),
        (Field::Product(Which::Current | Which::At(0), row), _) if !is_order => match row.path {
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
    fn new(asked: Asked<'_>) -> Self {
        let Asked { when, of, by, arrival, decimals } = asked;
        let text = |program: Option<&Program>| program.map_or("", Program::source).to_owned();
        let mut parts = vec!["derived".to_owned(), text(when), text(of)];
        parts.extend(by.map(|by| by.source().to_owned()));
        parts.extend(arrival.then(|| "arrival".to_owned()));
        parts.extend(decimals.then(|| "decimals".to_owned()));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let slot = hash64(&parts) as u32;
        let per_product = asked.programs().any(is_of_product);
        let folds_each = of.into_iter().chain(by).any(is_of_product);
        // 0 means «none» in a fact.
        let slot = slot.max(1);
        let amount_of = of.and_then(AmountOf::of);
        let (when, of, by) = (when.cloned(), of.cloned(), by.cloned());
        Self { slot, when, of, by, arrival, decimals, per_product, folds_each, amount_of }
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
                Some(Val::Absent) if self.decimals => (None, None),
                Some(Val::Absent) => continue,
                Some(val) => match self.of.as_ref().map(Program::ty) {
                    Some(Type::Int | Type::Float) => (val.as_f64(), None),
                    // A property of no known type is folded as text, and served as what it was.
                    _ => (number_beside(val), text_of(val)),
                },
            };
            let decimal = self.of.as_ref().filter(|_| self.decimals).and_then(|of| of.node.decimal(&env, 0));
            let (value, text) = match decimal {
                Some(decimal) => (nearest_to(decimal), Some(decimal.scale().to_string().into())),
                None => (value, text),
            };
            let (value, text) = match &self.by {
                _ if self.arrival => (Some(event.stamps.received_at_us as f64), text),
                None => (value, text),
                Some(by) => match text_of(by.eval(&env)) {
                    Some(by) => (value, Some(by)),
                    None => continue,
                },
            };
            let currency = self.amount_of.and_then(|of| of.currency(event, product)).cloned();
            out.push(Derived { slot: self.slot, value, text, currency });
            if !self.folds_each {
                // The event counts once, by whichever of its products.
                break;
            }
        }
    }
}

/// Whether an expression is about the product at hand, by itself or by a row of context.
pub(crate) fn is_of_product(program: &Program) -> bool {
    let of_context = |path: &str| {
        let kind = path.strip_prefix("event.context.")?.split('.').next()?;
        ContextKind::parse(kind).filter(|kind| kind.is_of_product())
    };
    program.paths().any(|path| path.starts_with("event.product.") || of_context(path).is_some())
}

/// A value as the text that it is folded as.
pub(crate) fn text_of(val: Val<'_>) -> Option<Str> {
    match val {
        Val::Text(text) => Some(text.into()),
        Val::Bool(bool) => Some(if bool { "true" } else { "false" }.into()),
        other => other.to_value().map(|value| value.to_string().into()),
    }
}

/// What is kept beside the text of a value: a number, where the value is no text.
pub(crate) fn number_beside(val: Val<'_>) -> Option<f64> {
    match val {
        Val::Bool(bool) => Some(f64::from(u8::from(bool))),
        other => other.as_f64(),
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
