//! serde's view of a node: which sort is wanted, what stands there, and what to say when they differ.

use std::rc::Rc;

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::decode::{DecodeError, Pass};
use super::path::FieldPath;
use super::scalar::{Resolved, old_boolean};
use super::suggest::nearest;
use super::{Entry, Node, Scalar, Value};
use crate::problem::Severity;

/// A node about to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'n, 'p> {
    pub(super) node: &'n Node,
    pub(super) path: &'p FieldPath<'p>,
    pub(super) pass: &'n Pass,
}

impl<'n, 'p> Reader<'n, 'p> {
    /// The error for a node of another sort than the API wants.
    fn wrong(&self, wanted: &str) -> DecodeError {
        DecodeError::new(
            format!("must be {wanted}, is {}", self.sort()),
            format!("write {wanted} here"),
        )
    }

    fn sort(&self) -> String {
        match &self.node.value {
            Value::Sequence(_) => "a list".into(),
            Value::Mapping(_) => "a mapping".into(),
            Value::Scalar(scalar) if scalar.is_null() => "empty".into(),
            Value::Scalar(_) if self.pass.reading.secret => "something else".into(),
            Value::Scalar(scalar) => match scalar.resolve() {
                Resolved::Bool(_) => format!("the boolean {}", scalar.text),
                Resolved::Text => format!("the text {:?}", shortened(&scalar.text)),
                _ => format!("the number {}", shortened(&scalar.text)),
            },
        }
    }

    fn scalar(&self, wanted: &str) -> Result<&'n Scalar, DecodeError> {
        match &self.node.value {
            Value::Scalar(scalar) => Ok(scalar),
            _ => Err(self.wrong(wanted)),
        }
    }

    /// Text; a plain number or boolean as it is written, with a warning.
    fn text(&self) -> Result<&'n str, DecodeError> {
        let scalar = self.scalar("a text")?;
        match scalar.resolve() {
            Resolved::Null => return Err(self.wrong("a text")),
            Resolved::Text if !scalar.is_doubtful() => {}
            _ => self.warn_of_text(scalar),
        }
        Ok(&scalar.text)
    }

    fn warn_of_text(&self, scalar: &Scalar) {
        let (what, remedy) = if self.pass.reading.secret {
            ("a bare number or boolean".into(), "put it in quotes".into())
        } else {
            let text = shortened(&scalar.text);
            (
                format!("the bare {text}"),
                format!("put it in quotes: {text:?}"),
            )
        };
        let message = format!("{what} is taken as text, which the API wants here");
        self.pass.find(
            Severity::Warning,
            self.node.position,
            self.path,
            message,
            remedy,
        );
    }

    fn boolean(&self) -> Result<bool, DecodeError> {
        let scalar = self.scalar("true or false")?;
        let meant = match (scalar.resolve(), scalar.text.as_ref()) {
            (Resolved::Bool(value), _) => return Ok(value),
            (_, "true") => Some(true),
            (_, "false") => Some(false),
            (_, text) => old_boolean(text),
        };
        Err(match meant {
            Some(meant) => {
                let message = format!("must be true or false, is {}", self.sort());
                DecodeError::new(message, format!("write {meant}, without quotes"))
            }
            None => self.wrong("true or false"),
        })
    }

    /// A whole number, in decimal without leading zeros (which YAML 1.1 takes for octal), or `0x`, `0o`.
    fn integer(&self) -> Result<Resolved, DecodeError> {
        let scalar = self.scalar("a whole number")?;
        let digits = scalar.text.trim_start_matches(['-', '+']);
        let resolved = scalar.resolve();
        match resolved {
            Resolved::Int(_) | Resolved::BigInt(_) => {}
            Resolved::Text if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                let message = format!("must be a whole number, is {}", self.sort());
                return Err(DecodeError::new(message, "remove the quotes"));
            }
            _ => return Err(self.wrong("a whole number")),
        }
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
        {
            let message = format!("{digits} has a leading zero: some readers take it as octal");
            return Err(DecodeError::new(message, "remove the leading zero"));
        }
        Ok(resolved)
    }

    fn visit_integer<V: Visitor<'n>>(&self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.integer()? {
            Resolved::Int(number) => visitor.visit_i64(number),
            Resolved::BigInt(number) => visitor.visit_u64(number),
            _ => Err(self.wrong("a whole number")),
        }
    }

    fn visit_any_scalar<V: Visitor<'n>>(
        &self,
        scalar: &'n Scalar,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match scalar.resolve() {
            Resolved::Null => visitor.visit_unit(),
            Resolved::Bool(value) => visitor.visit_bool(value),
            Resolved::Int(number) => visitor.visit_i64(number),
            Resolved::BigInt(number) => visitor.visit_u64(number),
            Resolved::Float(number) => visitor.visit_f64(number),
            Resolved::Text => visitor.visit_borrowed_str(&scalar.text),
        }
    }

    fn entries(&self) -> Result<&'n [Entry], DecodeError> {
        match &self.node.value {
            Value::Mapping(entries) => Ok(entries),
            _ => Err(self.wrong("a mapping (key: value)")),
        }
    }

    fn fields(
        self,
        entries: &'n [Entry],
        known: Option<&'static [&'static str]>,
    ) -> Fields<'n, 'p> {
        Fields {
            within: self,
            entries: entries.iter(),
            known,
            current: None,
        }
    }
}

/// Enough of a text to recognise it.
fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

macro_rules! integers {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.visit_integer(visitor)
        })+
    };
}

impl<'n> de::Deserializer<'n> for Reader<'n, '_> {
    type Error = DecodeError;

    integers!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Scalar(scalar) => self.visit_any_scalar(scalar, visitor),
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_f32<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.scalar("a number")?.resolve() {
            Resolved::Float(number) => visitor.visit_f64(number),
            Resolved::Int(number) => visitor.visit_i64(number),
            Resolved::BigInt(number) => visitor.visit_u64(number),
            _ => Err(self.wrong("a number")),
        }
    }

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.is_null() {
            visitor.visit_unit()
        } else {
            Err(self.wrong("nothing"))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Sequence(items) => visitor.visit_seq(Items {
                within: self,
                items: items.iter(),
                index: 0,
            }),
            _ => Err(self.wrong("a list")),
        }
    }

    fn deserialize_tuple<V: Visitor<'n>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_map(self.fields(self.entries()?, None))
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_map(self.fields(self.entries()?, Some(known)))
    }

    /// A choice by name; one that isn't known is told here, and left to the type to keep or refuse.
    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text = self.text()?;
        if !known.contains(&text) {
            let message = format!("{:?} is not one of {}", shortened(text), known.join(", "));
            let remedy = nearest(text, known.iter().copied()).map_or_else(
                || format!("write one of {}", known.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            self.pass.find(
                Severity::Error,
                self.node.position,
                self.path,
                message,
                remedy,
            );
        }
        visitor.visit_enum(text.into_deserializer())
    }

    fn deserialize_identifier<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}

/// The items of a list.
struct Items<'n, 'p> {
    within: Reader<'n, 'p>,
    items: std::slice::Iter<'n, Rc<Node>>,
    index: usize,
}

impl<'n> de::SeqAccess<'n> for Items<'n, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let pass = self.within.pass;
        for node in self.items.by_ref() {
            let path = FieldPath::Index(self.within.path, self.index);
            self.index += 1;
            if pass.is_left_out(&path) {
                continue;
            }
            return with_reader(node, &path, pass, seed).map(Some);
        }
        Ok(None)
    }
}

/// The entries of a mapping: of a struct when the fields are known, else of a map.
struct Fields<'n, 'p> {
    within: Reader<'n, 'p>,
    entries: std::slice::Iter<'n, Entry>,
    known: Option<&'static [&'static str]>,
    current: Option<&'n Entry>,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// Whether the entry counts: in a struct, null is the same as nothing (as the API server has it).
    fn counts(&self, entry: &Entry, path: &FieldPath<'_>) -> bool {
        let Reader {
            pass, path: within, ..
        } = self.within;
        let Some(known) = self.known else {
            return !pass.is_left_out(path);
        };
        let at_root = matches!(within, FieldPath::Root);
        if at_root && pass.reading.ignored.contains(&entry.key.as_ref()) {
            return false;
        }
        if !known.contains(&entry.key.as_ref()) {
            self.unknown(entry, known, path);
            return false;
        }
        !entry.value.is_null() && !pass.is_left_out(path)
    }

    fn unknown(&self, entry: &Entry, known: &[&str], path: &FieldPath<'_>) {
        let key = shortened(&entry.key);
        let near = nearest(&key, known.iter().copied());
        let remedy = near.map_or_else(
            || format!("remove it; the fields here are {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("field `{key}` is not known");
        self.within
            .pass
            .find(Severity::Error, entry.key_position, path, message, remedy);
    }
}

impl<'n> de::MapAccess<'n> for Fields<'n, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        while let Some(entry) = self.entries.next() {
            let path = FieldPath::Field(self.within.path, &entry.key);
            if self.counts(entry, &path) {
                self.current = Some(entry);
                let key: de::value::StrDeserializer<'_, DecodeError> =
                    entry.key.as_ref().into_deserializer();
                return seed.deserialize(key).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let Some(entry) = self.current.take() else {
            return Err(DecodeError::new(
                "a value without a key",
                "write `key: value`",
            ));
        };
        let path = FieldPath::Field(self.within.path, &entry.key);
        with_reader(&entry.value, &path, self.within.pass, seed)
    }
}

fn with_reader<'n, S: DeserializeSeed<'n>>(
    node: &'n Node,
    path: &FieldPath<'_>,
    pass: &'n Pass,
    seed: S,
) -> Result<S::Value, DecodeError> {
    let reader = Reader { node, path, pass };
    seed.deserialize(reader)
        .map_err(|error| error.at(node, path))
}
