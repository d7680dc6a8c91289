//! CSV as PostgreSQL's `COPY` reads it, where an empty field is NULL unless it stands in quotes.

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Without its quotes.
    pub(crate) text: String,
    /// Whether any of it stood in quotes.
    pub(crate) quoted: bool,
}

#[cfg(any(test, feature = "sqlite"))]
impl Field {
    /// What it says; `None` is NULL.
    pub(crate) fn value(self) -> Option<String> {
        (self.quoted || !self.text.is_empty()).then_some(self.text)
    }
}

/// The fields of one CSV record; `None` where a quote never ends.
pub(crate) fn fields(record: &str) -> Option<Vec<Field>> {
    let nothing = || Field { text: String::new(), quoted: false };
    let (mut fields, mut field, mut quoted) = (Vec::new(), nothing(), false);
    let mut chars = record.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.text.push('"');
            }
            '"' => {
                quoted = !quoted;
                field.quoted = true;
            }
            ',' if !quoted => fields.push(std::mem::replace(&mut field, nothing())),
            other => field.text.push(other),
        }
    }
    fields.push(field);
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_postgresql_reads_csv() {
        let cases = [
            ("id,name", Some(vec![Some("id"), Some("name")])),
            ("id,\"first, last\"", Some(vec![Some("id"), Some("first, last")])),
            ("\"a \"\"b\"\"\",c", Some(vec![Some("a \"b\""), Some("c")])),
            ("\"two\nlines\"", Some(vec![Some("two\nlines")])),
            ("one,", Some(vec![Some("one"), None])),
            ("\"\",", Some(vec![Some(""), None])),
            ("\"open", None),
        ];
        for (record, expected) in cases {
            let expected: Option<Vec<_>> =
                expected.map(|fields| fields.into_iter().map(|field| field.map(str::to_owned)).collect());
            let read = fields(record).map(|fields| fields.into_iter().map(Field::value).collect());
            assert_eq!(read, expected, "{record}");
        }
    }
}
