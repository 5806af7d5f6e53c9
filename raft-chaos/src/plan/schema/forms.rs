//! The forms of values, and how schemas of them are put together.

use serde_json::{Map, Value, json};

use super::super::mode::PLACEHOLDERS;

/// DURATION, without its ends.
pub(super) const DURATION: &str = r"[0-9]+(\.[0-9]+)?(us|ms|s|m|h)";
/// PERCENT, without its ends.
pub(super) const PERCENT: &str = r"([0-9]|[1-9][0-9]|100|0+[0-9]{1,2})(\.[0-9]+)?%";

/// The forms of values that have a name.
pub(super) fn all() -> Vec<(String, Value)> {
    let duration = text(&format!("^{DURATION}$"));
    let some = json!({ "allOf": [refer("duration")], "not": { "pattern": r"^0+(\.0+)?[a-z]+$" } });
    let two = json!({ "type": "array", "items": refer("duration"), "minItems": 2, "maxItems": 2 });
    let count = any_of([whole(0, None), text(r"^\s*(>=|<=|==|>|<)\s*[0-9]+\s*$")]);
    let forms = [
        ("name", text("^[a-z0-9][a-z0-9-]{0,63}$")),
        ("bool", json!({ "type": "boolean" })),
        ("duration", about("A number and us, ms, s, m or h, as in \"1500ms\".", duration)),
        ("some-duration", some),
        ("two-durations", two),
        ("range", any_of([refer("duration"), refer("two-durations")])),
        ("signed-duration", text(&format!("^[+-]?{DURATION}$"))),
        ("percent", about("A number from 0 to 100 and %, as in \"5%\".", text(&format!("^{PERCENT}$")))),
        ("signed-percent", text(&format!("^[+-]?{PERCENT}$"))),
        ("share", json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        ("size", about("A number and B, KiB, MiB or GiB.", text(r"^[0-9]+(\.[0-9]+)?(KiB|MiB|GiB|B)$"))),
        (
            "speed",
            about("A number and bit, kbit, mbit or gbit.", text(r"^[0-9]+(\.[0-9]+)?(kbit|mbit|gbit|bit)$")),
        ),
        ("command", command()),
        ("count", about("A number n, which means \">= n\", or >=, >, ==, <, <= and a number.", count)),
    ];
    forms.map(|(name, form)| (name.to_owned(), form)).into_iter().collect()
}

/// A command and its words, in which only what there is stands for something.
fn command() -> Value {
    let unknown = format!(r"\{{(?!({})\}})[a-z_]+\}}", PLACEHOLDERS.join("|"));
    let word = json!({ "type": "string", "not": { "pattern": unknown } });
    json!({ "type": "array", "items": word, "minItems": 1 })
}

/// The form of that name.
pub(super) fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// The same, with a sentence that editors show.
pub(super) fn about(sentence: &str, form: Value) -> Value {
    let mut described = json!({ "description": sentence });
    if let (Value::Object(described), Value::Object(form)) = (&mut described, form) {
        described.extend(form);
    }
    described
}

/// A table with these keys, and no others.
pub(super) fn table<'a>(keys: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let properties: Map<_, _> = keys.into_iter().map(|(key, form)| (key.to_owned(), form)).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

pub(super) fn list(item: Value) -> Value {
    json!({ "type": "array", "items": item })
}

pub(super) fn any_of(forms: impl IntoIterator<Item = Value>) -> Value {
    json!({ "anyOf": forms.into_iter().collect::<Vec<_>>() })
}

/// One of these words.
pub(super) fn words<T: Into<Value>>(words: impl IntoIterator<Item = T>) -> Value {
    json!({ "enum": words.into_iter().map(Into::into).collect::<Vec<Value>>() })
}

/// A text of this form.
pub(super) fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// A whole number from `min` to `max`.
pub(super) fn whole(min: u64, max: Option<u64>) -> Value {
    let mut form = json!({ "type": "integer", "minimum": min });
    if let Some(max) = max {
        form["maximum"] = max.into();
    }
    form
}
