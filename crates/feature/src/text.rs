//! Values as text, where a protocol has nothing else: plainly, or as a Java program writes them.

use crate::Value;
use std::fmt::Write as _;

/// How values are written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextForm {
    /// Numbers in plain decimals, truth as 1 and 0, several values as JSON.
    #[default]
    Plain,
    /// As Java's `toString` does: `42.0`, `1.23456789E7`, `true`, `[a, b]`, `{a=2, b=1}`, a range as `1.0-2.0`.
    Java,
}

impl TextForm {
    /// The form of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "plain" => Some(Self::Plain),
            "java" => Some(Self::Java),
            _ => None,
        }
    }
}

impl Value {
    /// The value as text.
    pub fn text(&self, form: TextForm) -> String {
        match (self, form) {
            (Self::Int(int), _) => int.to_string(),
            (Self::Text(text), _) => text.to_string(),
            // The shortest text that reads back equal, without an exponent.
            (Self::Float(float), TextForm::Plain) => float.to_string(),
            (Self::Float(float), TextForm::Java) => java(*float),
            (Self::Bool(bool), TextForm::Plain) => if *bool { "1" } else { "0" }.to_owned(),
            (Self::Bool(bool), TextForm::Java) => bool.to_string(),
            (Self::Null, TextForm::Plain) => String::new(),
            (Self::Null, TextForm::Java) => "null".to_owned(),
            (Self::Range(least, most), TextForm::Java) => format!("{}-{}", java(*least), java(*most)),
            (Self::List(list), TextForm::Java) => format!("[{}]", list.join(", ")),
            (Self::Map(map), TextForm::Java) => {
                let pairs: Vec<String> = map.iter().map(|(text, count)| format!("{text}={count}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }
            (Self::List(list), TextForm::Plain) => bracketed("[]", list.iter().map(|text| json(text))),
            (Self::Map(map), TextForm::Plain) => {
                bracketed("{}", map.iter().map(|(text, count)| format!("{}:{count}", json(text))))
            }
            (Self::Range(least, most), TextForm::Plain) => format!("{{\"min\":{least},\"max\":{most}}}"),
        }
    }
}

fn bracketed(brackets: &str, parts: impl Iterator<Item = String>) -> String {
    let (open, close) = brackets.split_at(1);
    format!("{open}{}{close}", parts.collect::<Vec<_>>().join(","))
}

/// A JSON string.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char.is_control() => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

/// A number as `Double.toString` has it: at least one decimal, and an exponent from 10^7 on and below 10^-3.
fn java(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 || (1e-3..1e7).contains(&size) || !number.is_finite() {
        // Debug keeps the decimal of whole numbers.
        return if number.is_infinite() {
            format!("{}Infinity", if number < 0.0 { "-" } else { "" })
        } else {
            plain(number)
        };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

fn plain(number: f64) -> String {
    let text = number.to_string();
    if text.contains('.') || !number.is_finite() { text } else { text + ".0" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Val;

    #[test]
    fn plain_and_as_java_writes() {
        let list = |texts: &[&str]| Value::List(texts.iter().map(|text| (*text).into()).collect());
        for (value, in_plain, in_java) in [
            (Value::Int(-3), "-3", "-3"),
            (Value::Float(42.99), "42.99", "42.99"),
            (Value::Float(12_345_678.9), "12345678.9", "1.23456789E7"),
            (Value::Float(1e7), "10000000", "1.0E7"),
            (Value::Float(9_999_999.0), "9999999", "9999999.0"),
            (Value::Float(1e21), "1000000000000000000000", "1.0E21"),
            (Value::Float(1e-7), "0.0000001", "1.0E-7"),
            (Value::Float(0.001), "0.001", "0.001"),
            (Value::Float(-0.00012), "-0.00012", "-1.2E-4"),
            (Value::Float(40.0), "40", "40.0"),
            (Value::Float(0.0), "0", "0.0"),
            (Value::Bool(true), "1", "true"),
            (Value::Bool(false), "0", "false"),
            (Value::Text("Shoes".into()), "Shoes", "Shoes"),
            (Value::Null, "", "null"),
            (list(&[]), "[]", "[]"),
            (list(&["a", "b\"\n"]), "[\"a\",\"b\\\"\\u000a\"]", "[a, b\"\n]"),
            (Value::Map([("5".into(), 2), ("6".into(), 1)].into()), "{\"5\":2,\"6\":1}", "{5=2, 6=1}"),
            (Value::Map(Box::default()), "{}", "{}"),
            (Value::Range(0.0, 0.0), "{\"min\":0,\"max\":0}", "0.0-0.0"),
            (Value::Range(42.99, 189.99), "{\"min\":42.99,\"max\":189.99}", "42.99-189.99"),
        ] {
            assert_eq!(value.text(TextForm::Plain), in_plain);
            assert_eq!(value.text(TextForm::Java), in_java);
            if let Value::List(_) | Value::Map(_) | Value::Range(..) = value {
                let read: serde_json::Value = serde_json::from_str(in_plain).expect("JSON");
                let typed = serde_json::to_value(&value).expect("JSON");
                assert_eq!(read.to_string().replace(".0", ""), typed.to_string().replace(".0", ""));
            }
        }
        assert_eq!(Val::number(f64::NAN), Val::Absent);
    }
}
