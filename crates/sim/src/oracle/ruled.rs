//! The rule that changes in storms: its wordings, told apart by the title of what they show.

/// Its name.
pub const RULE: &str = "own_rule";

/// What sets a wording off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// An event of this name.
    Event(&'static str),
    /// So much silence, as a file has it.
    Idle(&'static str),
}

/// What the rule says in one of its wordings.
#[derive(Clone, Copy, Debug)]
pub struct RuleWording {
    /// What sets it off.
    pub trigger: Trigger,
    /// The cart is worth more than this.
    pub cart_above: Option<f64>,
    /// Decided so often in a session at most.
    pub once_per_session: bool,
    /// As a file has them.
    more: &'static str,
}

const fn wording(trigger: Trigger, cart_above: Option<f64>, once_per_session: bool, more: &'static str) -> RuleWording {
    RuleWording { trigger, cart_above, once_per_session, more }
}

/// Every wording.
pub const RULES: [RuleWording; 9] = [
    wording(Trigger::Event("product_view"), None, false, ""),
    wording(Trigger::Event("add_to_cart"), Some(20.0), true, "expires = \"30m\""),
    wording(Trigger::Idle("15s"), None, true, "expires = \"3m\""),
    wording(Trigger::Idle("20s"), None, false, "expires = \"30m\""),
    wording(Trigger::Event("page_view"), None, true, "expires = \"30m\""),
    wording(Trigger::Event("never_sent"), None, false, ""),
    wording(Trigger::Idle("6s"), Some(20.0), false, ""),
    wording(Trigger::Event("add_to_cart"), None, false, "expires = \"12h\"\npriority = 30"),
    wording(Trigger::Event("product_view"), None, true, "dry_run = true"),
];

/// The rule in one of its wordings, as a file has it.
pub fn rule(number: usize) -> String {
    let RuleWording { trigger, cart_above, once_per_session, more } = RULES[number];
    let trigger = match trigger {
        Trigger::Event(name) => format!("event = \"{name}\""),
        Trigger::Idle(silence) => format!("idle = \"{silence}\""),
    };
    let worth = cart_above.map(|worth| format!(" && session.cart_value > {worth:.1}")).unwrap_or_default();
    let cap = if once_per_session { "cap = [\"1 per session\"]\n" } else { "" };
    let rest = format!("when = 'session.order_count == 0{worth}'\n{cap}slot = \"own\"\n{more}");
    let payload = format!("payload = {{ title = \"rule {number}\" }}");
    format!("[[intervention]]\nname = \"{RULE}\"\ntrigger = {{ {trigger} }}\n{rest}\n{payload}\n")
}

/// The title in a wording, or in what was shown by it.
pub fn title_of(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("\"rule ")?;
    Some(format!("rule {}", rest.split_once('"')?.0))
}

/// The wording of a title.
pub fn rule_of(title: &str) -> Option<&'static RuleWording> {
    RULES.get(title.strip_prefix("rule ")?.parse::<usize>().ok()?)
}
