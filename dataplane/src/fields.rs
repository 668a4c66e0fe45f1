//! A head's fields as routes look at them.

use std::borrow::Cow;

use ringgate_core::http1::{Field, FieldId};
use ringgate_core::route::Fields;

#[derive(Clone, Copy)]
pub(crate) struct HeadFields<'b> {
    pub(crate) fields: &'b [Field],
    pub(crate) buf: &'b [u8],
}

impl<'b> HeadFields<'b> {
    /// The first value of a field that the parser knows.
    pub(crate) fn first(&self, id: FieldId) -> Option<&'b [u8]> {
        let field = self.fields.iter().find(|field| field.id == id)?;
        Some(field.value.of(self.buf))
    }
}

impl Fields for HeadFields<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let named = |field: &&Field| {
            field
                .name
                .of(self.buf)
                .eq_ignore_ascii_case(name.as_bytes())
        };
        let mut values = self
            .fields
            .iter()
            .filter(named)
            .map(|field| field.value.of(self.buf));
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some(Cow::Borrowed(first));
        };
        let joined = [first, second]
            .into_iter()
            .chain(values)
            .collect::<Vec<_>>()
            .join(&b", "[..]);
        Some(Cow::Owned(joined))
    }
}
