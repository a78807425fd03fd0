//! What `[served]` and `hidden` say goes for what is added up by a field and over a lifetime, too.

use crate::kit::{Shopper, event, product};
use midsession_event::Product;
use midsession_feature::{FeatureSet, Key, Listed, Served, Value};
use midsession_machine::partial::Heard;

const NOW_MS: i64 = 1_700_000_000_000;

fn load(text: &str) -> FeatureSet {
    FeatureSet::load(&[("f.toml", text)]).unwrap_or_else(|found| panic!("{found:?}"))
}

/// Product `p` was viewed at these instants, for this much.
fn viewed(set: &FeatureSet, views: &[(i64, &str, f64)]) -> Shopper {
    let mut shopper = Shopper::new();
    for (at_ms, currency, price) in views {
        let mut view = event("product_view", *at_ms);
        view.products = vec![Product { currency: Some((*currency).into()), ..product("p", "", *price) }];
        shopper.take(&view, 1, set);
        set.accumulate(&view, &shopper.id, Heard::default(), *at_ms, &mut shopper.partials);
    }
    shopper
}

fn by_product(set: &FeatureSet, shopper: &Shopper, now_ms: i64) -> Vec<Served> {
    let parts = set.field_partials(&shopper.partials, "product", "p", now_ms);
    set.join("product", parts, &[], now_ms, &[]).unwrap_or_default()
}

#[test]
fn what_is_hidden_is_hidden_by_a_field_too() {
    let one = |name: &str, hidden: bool| {
        format!(
            "[[feature]]\nname = \"{name}\"\nkey = \"product\"\nfold = \"count\"\nwindows = [\"1h\"]\nhidden = {hidden}\n"
        )
    };
    let set = load(&[one("open", false), one("secret", true)].concat());
    let shopper = viewed(&set, &[(NOW_MS, "EUR", 1.0)]);
    let names: Vec<_> = by_product(&set, &shopper, NOW_MS).into_iter().map(|served| served.name).collect();
    assert_eq!(names, ["open_1h"]);
    assert_eq!(set.made("secret").expect("defined").served, []);
    assert_eq!(set.slots().len(), 1, "what nobody can read is not added up");
}

#[test]
fn values_by_a_field_expire() {
    let feature =
        "[[feature]]\nname = \"views\"\nkey = \"product\"\nfold = \"count\"\nwindows = [\"5m\", \"lifetime\"]\n";
    let set = load(&format!("[served]\nexpires = \"100s\"\n{feature}"));
    let shopper = viewed(&set, &[(NOW_MS, "EUR", 1.0), (NOW_MS + 250_000, "EUR", 1.0)]);
    let read = |after_ms: i64| {
        let row = |served: Served| {
            (served.name.to_string(), served.value.expect("a value"), served.expires_at_ms.map(|at| at - NOW_MS))
        };
        by_product(&set, &shopper, NOW_MS + after_ms).into_iter().map(row).collect::<Vec<_>>()
    };
    let row = |window: &str, count: i64, at_ms: i64| (format!("views_{window}"), Value::Int(count), Some(at_ms));
    assert_eq!(read(250_000), [row("5m", 2, 350_000), row("lifetime", 2, 350_000)]);
    // A step leaves the window as a whole: it is of five seconds.
    assert_eq!(read(320_000), [row("5m", 1, 404_999), row("lifetime", 2, 350_000)]);
    assert_eq!(read(350_000), [row("5m", 1, 404_999)]);
    assert_eq!(read(404_999), []);
    let stays = load(feature);
    let shopper = viewed(&stays, &[(NOW_MS, "EUR", 1.0)]);
    assert!(by_product(&stays, &shopper, NOW_MS).iter().all(|served| served.expires_at_ms.is_none()));
}

#[test]
fn currencies_are_ignored_wherever_amounts_are_kept() {
    let folds = [("sum", ""), ("max", ""), ("quantile", "quantile = 1.0"), ("ratio", "over = 'true'")];
    let one = |(fold, setting): (&str, &str)| {
        format!(
            "[[feature]]\nname = \"{fold}_of\"\nkey = [\"user\", \"product\"]\nfold = \"{fold}\"\nof = \"product.price\"\n\
             {setting}\nwindows = [\"1h\", \"lifetime\"]\n"
        )
    };
    let text = folds.map(one).concat();
    let (ignoring, apart) = (load(&format!("[served]\ncurrencies = \"ignored\"\n{text}")), load(&text));
    let views = [(NOW_MS - 1, "EUR", 1.0), (NOW_MS, "USD", 2.0)];
    let shopper = viewed(&ignoring, &views);
    let expected = [("sum", 3.0), ("max", 2.0), ("quantile", 2.0), ("ratio", 1.5)];
    let by_field = by_product(&ignoring, &shopper, NOW_MS);
    for (fold, number) in expected {
        for window in ["1h", "lifetime"] {
            let name = format!("{fold}_of_{window}");
            let value = ignoring.read(&shopper.view(NOW_MS), Key::User, &name);
            assert_eq!(value, Some(Value::Float(number)), "user.{name}");
            let value = by_field.iter().find(|served| served.name == name).and_then(|served| served.value.clone());
            assert_eq!(value, Some(Value::Float(number)), "product.{name}");
        }
    }
    // The same partials, looked at by a profile that keeps currencies apart.
    assert_eq!(ignoring.slots(), apart.slots());
    assert_eq!(by_product(&apart, &shopper, NOW_MS), []);
    assert_eq!(apart.read(&shopper.view(NOW_MS), Key::User, "sum_of_lifetime"), None);
}

/// What was put while running is of no file, and is read as it would be in one without `[served]`.
#[test]
fn what_is_of_no_file_is_read_plainly() {
    let of = |name: &str| {
        format!(
            "[[feature]]\nname = \"{name}\"\nkey = \"user\"\nfold = \"sum\"\nof = \"product.price\"\nwindows = [\"1h\"]\n"
        )
    };
    let listed = |name: &str, file: &str| Listed {
        name: name.into(),
        version: None,
        file: file.into(),
        label: "x".into(),
        text: of(name).into(),
    };
    let files = [("profile.toml", "[served]\ncurrencies = \"ignored\"\n"), ("own.toml", "")];
    let all = [listed("of_profile", "profile.toml"), listed("of_own", "own.toml"), listed("put", "")];
    let (set, faults) = FeatureSet::load_some(&files, Some(&all));
    assert_eq!(faults, []);
    let shopper = viewed(&set, &[(NOW_MS - 1, "EUR", 1.0), (NOW_MS, "USD", 2.0)]);
    let read = |name: &str| set.read(&shopper.view(NOW_MS), Key::User, name);
    assert_eq!(read("of_profile_1h"), Some(Value::Float(3.0)));
    assert_eq!((read("of_own_1h"), read("put_1h")), (None, None));
}

/// What is divided by nothing is not there, of whole numbers and of others.
#[test]
fn a_value_that_is_divided_by_nothing_is_absent() {
    let views = "[[feature]]\nname = \"views\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"1h\"]\n";
    let value = |text: &str| {
        let worked = format!("[[feature]]\nname = \"x\"\nkey = \"user\"\nvalue = '{text}'\nwindows = [\"1h\"]\n");
        let set = load(&[views, worked.as_str()].concat());
        let shopper = viewed(&set, &[(NOW_MS, "EUR", 1.0)]);
        set.read(&shopper.view(NOW_MS), Key::User, "x_1h")
    };
    for text in ["1 / (user.views - 1)", "1.0 / (user.views - 1)", "-1.0 / (user.views - 1)", "0.0 / (user.views - 1)"]
    {
        assert_eq!(value(text), None, "{text}");
    }
    assert_eq!(value("1.0 / user.views"), Some(Value::Float(1.0)));
}
