//! From text to tree: parsing by the `cel` crate, names, types and messages by us.

use super::place::{POINT_HINT, at, did_you_mean, offset_of, operator_of, quoting_hint, start_of, syntax_fault};
use super::{
    Arithmetic, Compare, EVENT_FIELDS, ExprError, Field, Node, PRODUCT_FIELDS, Program, Scope, TextTest, Type, Which,
};
use crate::{DURATION_HINT, Key, Value, nearest, parse_duration_ms};
use cel::common::ast::{ComprehensionExpr, Expr, LiteralValue, SourceInfo, operators};
use cel::{IdedExpr, parser::Parser};
use midsession_event::ContextKind;

/// The longest expression. Bytes. It bounds the depth of the tree, which a thread's stack of 2 MiB holds twice.
const SOURCE_MAX: usize = 2_048;
/// The largest compiled regular expression. Bytes.
const REGEX_MAX: usize = 64 * 1024;

type Typed = (Node, Type);

pub(super) fn compile(source: &str, scope: Scope<'_>) -> Result<Program, ExprError> {
    if source.len() > SOURCE_MAX {
        return Err(at(source, 0, format!("an expression has at most {SOURCE_MAX} bytes"), None));
    }
    let (tree, info) = Parser::new().parse_with_source_info(source).map_err(|errors| {
        let first = errors.errors.first();
        let (line, column) = first.map_or((1, 1), |error| error.pos);
        let message = first.map_or("can't be read", |error| error.msg.as_str());
        syntax_fault(source, offset_of(source, line, column), message)
    })?;
    let mut compiler = Compiler { source, info, scope, loop_variable: None, reads: Vec::new() };
    let (node, ty) = compiler.expr(&tree)?;
    Ok(Program { source: source.to_owned(), node, ty, reads: compiler.reads, refuted_by: Default::default() })
}

struct Compiler<'c> {
    source: &'c str,
    info: SourceInfo,
    scope: Scope<'c>,
    loop_variable: Option<String>,
    reads: Vec<(String, Node)>,
}

/// One step of a path.
enum Step {
    Name(String),
    Index(i64),
}

impl Compiler<'_> {
    fn fault<T>(&self, tree: &IdedExpr, message: impl Into<String>, hint: Option<String>) -> Result<T, ExprError> {
        let offset = self.info.offset_for(start_of(tree)).map_or(0, |(start, _)| start as usize);
        Err(at(self.source, offset, message.into(), hint))
    }

    fn expr(&mut self, tree: &IdedExpr) -> Result<Typed, ExprError> {
        match &tree.expr {
            Expr::Literal(literal) => self.literal(tree, literal),
            Expr::Select(select) if select.test => {
                let node = self.path(tree, &select.operand, Some(Step::Name(select.field.clone())))?.0;
                Ok((Node::Has(Box::new(node)), Type::Bool))
            }
            Expr::Ident(_) | Expr::Select(_) => self.path(tree, tree, None),
            Expr::Call(call) if call.func_name == operators::INDEX => self.path(tree, tree, None),
            Expr::Call(call) => match &call.target {
                Some(target) => self.method(tree, &call.func_name, target, &call.args),
                None => self.call(tree, &call.func_name, &call.args),
            },
            Expr::Comprehension(comprehension) => self.comprehension(tree, comprehension),
            Expr::List(_) => self.fault(tree, "a list stands only after `in`", None),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.fault(tree, "maps and structures are not part of this language", None)
            }
        }
    }

    fn literal(&self, tree: &IdedExpr, literal: &LiteralValue) -> Result<Typed, ExprError> {
        let (value, ty) = match literal {
            LiteralValue::Boolean(bool) => (Some(Value::Bool(*bool.inner())), Type::Bool),
            LiteralValue::Int(int) => (Some(Value::Int(*int.inner())), Type::Int),
            LiteralValue::UInt(int) => match i64::try_from(*int.inner()) {
                Ok(int) => (Some(Value::Int(int)), Type::Int),
                Err(_) => {
                    return self.fault(tree, "a whole number has at most 63 bits", Some(POINT_HINT.to_owned()));
                }
            },
            LiteralValue::Double(float) => (Some(Value::Float(*float.inner())), Type::Float),
            LiteralValue::String(text) => (Some(Value::Text(text.inner().into())), Type::Text),
            LiteralValue::Null => {
                return self.fault(tree, "nothing is compared with null", Some("ask has(…) instead".to_owned()));
            }
            LiteralValue::Bytes(_) => return self.fault(tree, "bytes are not part of this language", None),
        };
        Ok((Node::Const(value), ty))
    }

    /// A path like `event.products[0].price`, with a last step that the parser keeps apart in `has`.
    fn path(&mut self, tree: &IdedExpr, start: &IdedExpr, last: Option<Step>) -> Result<Typed, ExprError> {
        let mut steps: Vec<Step> = last.into_iter().collect();
        let mut here = start;
        let root = loop {
            match &here.expr {
                Expr::Ident(name) => break name.clone(),
                Expr::Select(select) if !select.test => {
                    steps.push(Step::Name(select.field.clone()));
                    here = &select.operand;
                }
                Expr::Call(call) if call.func_name == operators::INDEX && call.args.len() == 2 => {
                    match &call.args[1].expr {
                        Expr::Literal(LiteralValue::Int(index)) => steps.push(Step::Index(*index.inner())),
                        Expr::Literal(LiteralValue::String(name)) => steps.push(Step::Name(name.inner().to_owned())),
                        _ => return self.fault(&call.args[1], "an index is a number or a text as it stands", None),
                    }
                    here = &call.args[0];
                }
                _ => return self.fault(tree, "a path starts with a name", None),
            }
        };
        steps.reverse();
        self.resolve(tree, &root, &steps)
    }

    fn resolve(&mut self, tree: &IdedExpr, root: &str, steps: &[Step]) -> Result<Typed, ExprError> {
        let names: Vec<&str> =
            steps.iter().map(|step| if let Step::Name(name) = step { name.as_str() } else { "[]" }).collect();
        if self.loop_variable.as_deref() == Some(root) {
            return match names.as_slice() {
                [name] => self.product(tree, Which::Loop, name, root),
                _ => self.fault(tree, format!("`{root}` is a product"), Some(format!("name a field: {root}.price"))),
            };
        }
        match (root, names.as_slice(), self.scope.features) {
            ("event", _, _) => self.event(tree, &names, steps),
            ("now", [], Some(_)) => Ok(self.read("now", Node::Now, Type::Int)),
            ("user" | "session", [name], Some(set)) => {
                let key = if root == "user" { Key::User } else { Key::Session };
                match set.entry_in(key, name, self.scope.window) {
                    Some((_, Type::Many)) => {
                        return self.fault(
                            tree,
                            format!("`{root}.{name}` is several values: they are served only"),
                            None,
                        );
                    }
                    Some((entry, ty)) => return Ok(self.read(&set.path(entry), Node::Feature(entry), ty)),
                    None => {}
                }
                if let Some(known) = set.faulty(name) {
                    // What is wrong is said there; that it is missing here comes of it.
                    let hint = Some(format!("mend `{known}` first"));
                    return self.fault(tree, format!("`{known}` has a mistake of its own"), hint);
                }
                let (stem, windows) = set.windows_of(key, name);
                if !windows.is_empty() {
                    let over = |window: &str| format!("{root}.{stem}_{window}");
                    let all: Vec<String> = windows.into_iter().map(over).collect();
                    let message = match (self.scope.window, stem == *name) {
                        (Some(window), true) => format!("`{root}.{name}` has no window {window}"),
                        (None, true) => format!("`{root}.{name}` is over which window?"),
                        (_, false) => format!("`{root}.{stem}` has no window {}", &name[stem.len() + 1..]),
                    };
                    return self.fault(tree, message, Some(format!("there is {}", all.join(", "))));
                }
                let known = nearest(name, set.names(key));
                let hint = known.map_or_else(
                    || {
                        "a value reads what is defined above it; `midsession check --config /dev/null` lists the built-in ones"
                            .to_owned()
                    },
                    |known| format!("did you mean `{root}.{known}`?"),
                );
                self.fault(tree, format!("`{root}.{name}` is not a feature"), Some(hint))
            }
            ("user" | "session", _, Some(_)) => {
                let hint = Some(format!("name a feature: {root}.order_count"));
                self.fault(tree, format!("`{root}` holds features"), hint)
            }
            ("user" | "session" | "now", _, None) => {
                let hint = Some("only `event.…` is known here".to_owned());
                self.fault(tree, format!("`{root}` can't be looked at here"), hint)
            }
            _ if self.scope.bare => {
                let names: Vec<&str> = std::iter::once(root).chain(names.iter().copied()).collect();
                let mut all = vec![Step::Name(root.to_owned())];
                all.extend(steps.iter().map(|step| match step {
                    Step::Name(name) => Step::Name(name.clone()),
                    Step::Index(index) => Step::Index(*index),
                }));
                self.event(tree, &names, &all)
            }
            _ => {
                let roots: &[&str] =
                    if self.scope.features.is_some() { &["event", "session", "user", "now"] } else { &["event"] };
                let hint = match nearest(root, roots.iter().copied()) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("names start with {}", roots.join(", ")),
                };
                self.fault(tree, format!("`{root}` is not known"), Some(hint))
            }
        }
    }

    fn event(&mut self, tree: &IdedExpr, names: &[&str], steps: &[Step]) -> Result<Typed, ExprError> {
        match (names, steps) {
            (["product", name], _) => return self.product(tree, Which::Current, name, "event.product"),
            (["products", _, name], [_, Step::Index(index), _]) => {
                let Ok(index) = usize::try_from(*index) else {
                    return self.fault(tree, "products are counted from 0", None);
                };
                return self.product(tree, Which::At(index), name, &format!("event.products[{index}]"));
            }
            (["properties", name], [_, Step::Name(_)]) => {
                let field = Field::Property((*name).into());
                return Ok(self.read(&field.path(), Node::Field(field), Type::Any));
            }
            (["context", kind, name], [_, Step::Name(_), Step::Name(_)]) => {
                let Some(kind) = ContextKind::parse(kind) else {
                    let known = ContextKind::ALL.map(ContextKind::as_str).join(", ");
                    return self.fault(tree, format!("there is no context `{kind}`"), Some(format!("known: {known}")));
                };
                // What is decided by a row says which version of it.
                let version = Field::Context(kind, "version".into());
                self.read(&version.path(), Node::Field(version), Type::Int);
                let field = Field::Context(kind, (*name).into());
                return Ok(self.read(&field.path(), Node::Field(field.clone()), field.ty()));
            }
            (["properties", first, second, ..], [_, rest @ ..])
                if rest.iter().all(|step| matches!(step, Step::Name(_))) =>
            {
                let whole = names[1..].join(".");
                let hint =
                    format!("what stands in an object has its whole path as its name: event.properties[\"{whole}\"]");
                let message = format!("`event.properties.{first}` has no `{second}` in it");
                return self.fault(tree, message, Some(hint));
            }
            (["products"], _) => {
                let hint = "event.products.exists(p, p.price > 50.0), size(event.products), event.product.price";
                return self.fault(tree, "`event.products` is a list", Some(format!("like {hint}")));
            }
            _ => {}
        }
        let path = names.join(".");
        if let Some(row) = EVENT_FIELDS.iter().find(|row| row.path == path) {
            let field = Field::Event(row);
            return Ok(self.read(&field.path(), Node::Field(field), row.ty));
        }
        let group: Vec<&str> = EVENT_FIELDS
            .iter()
            .map(|row| row.path)
            .filter(|known| known.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.')))
            .collect();
        if let Some(first) = group.first() {
            let hint = Some(format!("name one of its fields: event.{first}"));
            return self.fault(tree, format!("`event.{path}` holds fields"), hint);
        }
        let products = PRODUCT_FIELDS.iter().map(|row| format!("product.{}", row.path));
        let known: Vec<String> = EVENT_FIELDS.iter().map(|row| row.path.to_owned()).chain(products).collect();
        let hint = match nearest(&path, known.iter().map(String::as_str)) {
            Some(known) => format!("did you mean `event.{known}`?"),
            None => format!("custom fields are properties: event.properties.{path}"),
        };
        self.fault(tree, format!("`event.{path}` is not a field of an event"), Some(hint))
    }

    fn product(&mut self, tree: &IdedExpr, which: Which, name: &str, prefix: &str) -> Result<Typed, ExprError> {
        let Some(row) = PRODUCT_FIELDS.iter().find(|row| row.path == name) else {
            let names = PRODUCT_FIELDS.iter().map(|row| row.path);
            let hint = nearest(name, names.clone()).map_or_else(
                || names.collect::<Vec<_>>().join(", "),
                |known| format!("did you mean `{prefix}.{known}`?"),
            );
            return self.fault(tree, format!("`{prefix}.{name}` is not a field of a product"), Some(hint));
        };
        let field = match (which, name) {
            (Which::Current, "category") => Field::Category,
            _ => Field::Product(which, row),
        };
        if which == Which::Loop {
            return Ok((Node::Field(field), row.ty));
        }
        Ok(self.read(&field.path(), Node::Field(field), row.ty))
    }

    fn read(&mut self, path: &str, node: Node, ty: Type) -> Typed {
        if !self.reads.iter().any(|(known, _)| known == path) {
            self.reads.push((path.to_owned(), node.clone()));
        }
        (node, ty)
    }

    fn call(&mut self, tree: &IdedExpr, name: &str, args: &[IdedExpr]) -> Result<Typed, ExprError> {
        let comparison = match name {
            operators::EQUALS => Some(Compare::Equal),
            operators::NOT_EQUALS => Some(Compare::NotEqual),
            operators::LESS => Some(Compare::Less),
            operators::LESS_EQUALS => Some(Compare::LessEqual),
            operators::GREATER => Some(Compare::Greater),
            operators::GREATER_EQUALS => Some(Compare::GreaterEqual),
            _ => None,
        };
        let arithmetic = match name {
            operators::ADD => Some(Arithmetic::Add),
            operators::SUBSTRACT => Some(Arithmetic::Subtract),
            operators::MULTIPLY => Some(Arithmetic::Multiply),
            operators::DIVIDE => Some(Arithmetic::Divide),
            operators::MODULO => Some(Arithmetic::Remainder),
            _ => None,
        };
        let typed = match (name, args) {
            (_, [a, b]) if comparison.is_some() => {
                let op = comparison.unwrap_or(Compare::Equal);
                let ((a_node, a_type), (b_node, b_type)) = (self.expr(a)?, self.expr(b)?);
                let same = a_type == b_type || (a_type.is_number() && b_type.is_number());
                if !same && a_type != Type::Any && b_type != Type::Any {
                    let message = format!("{} is compared with {}", a_type.name(), b_type.name());
                    return self.fault(tree, message, quoting_hint(a_type, b_type));
                }
                (Node::Compare(op, Box::new([a_node, b_node])), Type::Bool)
            }
            (_, [a, b]) if arithmetic.is_some() => {
                let op = arithmetic.unwrap_or(Arithmetic::Add);
                let ((a_node, a_type), (b_node, b_type)) = (self.number(a)?, self.number(b)?);
                let ty = match (a_type, b_type) {
                    (Type::Int, Type::Int) => Type::Int,
                    (Type::Any, Type::Any | Type::Int) | (Type::Int, Type::Any) => Type::Any,
                    _ => Type::Float,
                };
                (Node::Arithmetic(op, Box::new([a_node, b_node])), ty)
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [a, b]) => {
                let (a, b) = (self.condition(a)?, self.condition(b)?);
                let is_and = name == operators::LOGICAL_AND;
                let mut nodes = Vec::new();
                for node in [a, b] {
                    match node {
                        Node::And(inner) if is_and => nodes.extend(inner),
                        Node::Or(inner) if !is_and => nodes.extend(inner),
                        other => nodes.push(other),
                    }
                }
                (if is_and { Node::And(nodes.into()) } else { Node::Or(nodes.into()) }, Type::Bool)
            }
            (operators::LOGICAL_NOT, [a]) => (Node::Not(Box::new(self.condition(a)?)), Type::Bool),
            (operators::NEGATE, [a]) => {
                let (node, ty) = self.number(a)?;
                (Node::Negate(Box::new(node)), ty)
            }
            (operators::CONDITIONAL, [condition, a, b]) => {
                let condition = self.condition(condition)?;
                let ((a_node, a_type), (b_node, b_type)) = (self.expr(a)?, self.expr(b)?);
                let ty = match (a_type, b_type) {
                    (a, b) if a == b => a,
                    (Type::Int, Type::Float) | (Type::Float, Type::Int) => Type::Float,
                    _ => Type::Any,
                };
                (Node::If(Box::new([condition, a_node, b_node])), ty)
            }
            (operators::IN, [a, list]) => {
                let (node, ty) = self.expr(a)?;
                let Expr::List(items) = &list.expr else {
                    let hint = Some("write `event.name in [\"search\", \"list_view\"]`".to_owned());
                    return self.fault(list, "`in` wants a list", hint);
                };
                let mut nodes = Vec::new();
                for item in &items.elements {
                    let (item_node, item_type) = self.expr(item)?;
                    let same = ty == item_type || (ty.is_number() && item_type.is_number());
                    if !same && ty != Type::Any && item_type != Type::Any {
                        let message = format!("{} is looked for among {}", ty.name(), item_type.name());
                        return self.fault(item, message, quoting_hint(ty, item_type));
                    }
                    nodes.push(item_node);
                }
                (Node::In(Box::new(node), nodes.into()), Type::Bool)
            }
            ("size", [a]) => self.size(a)?,
            ("duration", [a]) => match &a.expr {
                Expr::Literal(LiteralValue::String(text)) => match parse_duration_ms(text.inner()) {
                    Ok(ms) => (Node::Const(Some(Value::Int(ms))), Type::Int),
                    Err(message) => return self.fault(a, message, Some(DURATION_HINT.to_owned())),
                },
                _ => return self.fault(a, "a duration is written as text, like duration(\"20s\")", None),
            },
            _ => {
                let known = ["has", "size", "duration"];
                let hint = operator_of(name)
                    .or_else(|| nearest(name, known))
                    .map_or_else(|| format!("known: {}", known.join(", ")), did_you_mean);
                return self.fault(
                    tree,
                    format!("there is no function `{name}` with {} arguments", args.len()),
                    Some(hint),
                );
            }
        };
        Ok((typed.0.folded(), typed.1))
    }

    fn method(
        &mut self,
        tree: &IdedExpr,
        name: &str,
        target: &IdedExpr,
        args: &[IdedExpr],
    ) -> Result<Typed, ExprError> {
        let test = match (name, args) {
            ("size", []) => return self.size(target),
            ("matches", [pattern]) => {
                let node = self.text(target)?;
                let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
                    return self.fault(pattern, "a pattern is written as it stands, so that it is compiled once", None);
                };
                let built = regex::RegexBuilder::new(text.inner()).size_limit(REGEX_MAX).build();
                let Ok(regex) = built else {
                    let message = built.err().map_or_else(String::new, |error| error.to_string());
                    let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    let hint =
                        "a bracket or another sign that is meant as text is written \\\\[; there is no look-around";
                    return self.fault(pattern, format!("not a usable pattern: {reason}"), Some(hint.to_owned()));
                };
                return Ok((Node::Matches(Box::new(node), regex), Type::Bool));
            }
            ("startsWith", [_]) => TextTest::Starts,
            ("endsWith", [_]) => TextTest::Ends,
            ("contains", [_]) => TextTest::Contains,
            _ => {
                let known = ["startsWith", "endsWith", "contains", "matches", "size", "exists", "all"];
                let hint = nearest(name, known)
                    .map_or_else(|| format!("known: {}", known.join(", ")), |known| format!("did you mean `{known}`?"));
                return self.fault(
                    tree,
                    format!("there is no method `{name}` with {} arguments", args.len()),
                    Some(hint),
                );
            }
        };
        let nodes = [self.text(target)?, self.text(&args[0])?];
        Ok((Node::Text(test, Box::new(nodes)).folded(), Type::Bool))
    }

    fn size(&mut self, of: &IdedExpr) -> Result<Typed, ExprError> {
        if is_products(of, self.scope.bare) {
            return Ok(self.read("event.products.size", Node::Products, Type::Int));
        }
        Ok((Node::Size(Box::new(self.text(of)?)).folded(), Type::Int))
    }

    fn comprehension(&mut self, tree: &IdedExpr, comprehension: &ComprehensionExpr) -> Result<Typed, ExprError> {
        if !is_products(&comprehension.iter_range, self.scope.bare) {
            let message = "`exists` and `all` go over `event.products`";
            return self.fault(&comprehension.iter_range, message, None);
        }
        let (step, initial) = (&comprehension.loop_step.expr, &comprehension.accu_init.expr);
        let (exists, body) = match (step, initial) {
            (Expr::Call(call), Expr::Literal(LiteralValue::Boolean(_))) if call.args.len() == 2 => {
                (call.func_name == operators::LOGICAL_OR, &call.args[1])
            }
            _ => return self.fault(tree, "only `exists` and `all` go over products", None),
        };
        if self.loop_variable.is_some() {
            return self.fault(tree, "one loop over products can't stand in another", None);
        }
        self.read("event.products.size", Node::Products, Type::Int);
        self.loop_variable = Some(comprehension.iter_var.clone());
        let body = self.condition(body);
        self.loop_variable = None;
        let body = Box::new(body?);
        Ok((if exists { Node::Exists(body) } else { Node::All(body) }, Type::Bool))
    }

    fn condition(&mut self, tree: &IdedExpr) -> Result<Node, ExprError> {
        match self.expr(tree)? {
            (node, Type::Bool | Type::Any) => Ok(node),
            (_, ty) => self.fault(tree, format!("a condition is wanted here, this is {}", ty.name()), None),
        }
    }

    fn number(&mut self, tree: &IdedExpr) -> Result<Typed, ExprError> {
        match self.expr(tree)? {
            (node, ty) if ty.is_number() => Ok((node, ty)),
            (_, ty) => self.fault(tree, format!("a number is wanted here, this is {}", ty.name()), None),
        }
    }

    fn text(&mut self, tree: &IdedExpr) -> Result<Node, ExprError> {
        match self.expr(tree)? {
            (node, Type::Text | Type::Any) => Ok(node),
            (_, ty) => self.fault(tree, format!("text is wanted here, this is {}", ty.name()), None),
        }
    }
}

fn is_products(tree: &IdedExpr, bare: bool) -> bool {
    match &tree.expr {
        Expr::Select(select) => {
            select.field == "products" && matches!(&select.operand.expr, Expr::Ident(root) if root == "event")
        }
        Expr::Ident(name) => bare && name == "products",
        _ => false,
    }
}
