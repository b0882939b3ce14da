//! An item of a list, of whatever shape.
//!
//! The rule: **an item is never the reason why a list cannot be read.** What others made
//! only has to be counted. Whether an item is ours is for the caller to judge, so an item
//! says what is wrong with it instead of failing.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

#[derive(Debug, Default)]
pub(in crate::qlik) struct Item {
    /// Its fields, where it is an object.
    fields: Map<String, Value>,
    /// Fields that came twice, with all they held but the last.
    twice: Map<String, Value>,
    /// What came instead of an object.
    other: Option<Value>,
}

impl Item {
    /// Whether it is an object.
    pub(super) const fn is_object(&self) -> bool {
        self.other.is_none()
    }

    /// A field; null where it is missing.
    pub(super) fn get(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }

    /// Whether a field came more than once.
    pub(super) fn is_twice(&self, name: &str) -> bool {
        self.twice.contains_key(name)
    }

    /// Everything that a field held, as one text.
    pub(super) fn text_of(&self, name: &str) -> String {
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        };
        let earlier = self.twice.get(name).map(text).unwrap_or_default();
        let whole = format!("{earlier}{}", text(self.get(name)));
        self.other.as_ref().map_or(whole, text)
    }

    /// Whether a text stands anywhere in it.
    pub(super) fn mentions(&self, text: &str) -> bool {
        let stands_in = |value: &Value| value.to_string().contains(text);
        let all = self.fields.values().chain(self.twice.values()).chain(&self.other);
        all.into_iter().any(stands_in)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whatever)
    }
}

struct Whatever;

impl<'de> Visitor<'de> for Whatever {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut item = Item::default();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if let Some(earlier) = item.fields.insert(name.clone(), value) {
                let earlier = match item.twice.remove(&name) {
                    Some(before) => Value::Array(vec![before, earlier]),
                    None => earlier,
                };
                item.twice.insert(name, earlier);
            }
        }
        Ok(item)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Item, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Value>()? {
            items.push(item);
        }
        Ok(other(Value::Array(items)))
    }

    fn visit_unit<E>(self) -> Result<Item, E> {
        Ok(other(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Item, E> {
        Ok(other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Item, E> {
        Ok(other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Item, E> {
        Ok(other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Item, E> {
        Ok(other(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Item, E> {
        Ok(other(value.into()))
    }
}

fn other(value: Value) -> Item {
    Item { other: Some(value), ..Item::default() }
}
