//! Closed choices of the API: enums that keep a value which they don't know.
//!
//! An unknown value must not fail to decode (a cluster may have a newer CRD): it is kept, and becomes
//! the condition `UnsupportedValue`. In files the values are known, so there an unknown one is a
//! problem: `deserialize_enum` tells the YAML reader what is allowed.

/// Defines a choice: `Variant = "text"`, and `Unknown(text)`.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$arm_meta:meta])* $arm:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$arm_meta])* $arm,)+
            /// A value that this version of the API doesn't have.
            Unknown(std::sync::Arc<str>),
        }

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$arm => $text,)+
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$arm,)+
                    _ => Self::Unknown(text.into()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = $crate::api::choice::text(deserializer, stringify!($name), &[$($text),+])?;
                Ok(Self::from(text.as_str()))
            }
        }
    };
}
pub(crate) use choice;

use std::fmt;

use serde::Deserializer;
use serde::de::{EnumAccess, VariantAccess, Visitor};

/// Reads a unit variant's name, known or not.
pub(crate) fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
    name: &'static str,
    allowed: &'static [&'static str],
) -> Result<String, D::Error> {
    deserializer.deserialize_enum(name, allowed, ChoiceVisitor)
}

struct ChoiceVisitor;

impl<'de> Visitor<'de> for ChoiceVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<String, A::Error> {
        let (text, variant) = access.variant::<String>()?;
        variant.unit_variant()?;
        Ok(text)
    }
}
