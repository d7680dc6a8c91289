//! How a home-grown runner names its files: a text with `{version}` and, behind it, `{name}`.

use std::{cmp::Ordering, ops::Range};

use crate::format::OptionError;

/// What a pattern is where the manifest does not say.
pub(super) const DEFAULT: &str = "{version}_{name}.sql";

const VERSION: &str = "{version}";
const NAME: &str = "{name}";
const EXTENSION: &str = ".sql";

/// A pattern such as `V{version}__{name}.sql`, in pieces.
///
/// `{version}` stands for one or more groups of digits with a single `.`, `-` or `_` between them, as many as there
/// are: of `20260123_1800_users` it is `20260123_1800`. `{name}` stands for anything else, at least one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    before: String,
    /// Between version and name, and behind the name but for `.sql`; without a name, what is behind the version.
    between: String,
    has_name: bool,
    after: String,
}

/// A file name without its extension, in the pieces of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'s> {
    pub(super) version: &'s str,
    /// Empty where the pattern has none.
    pub(super) name: &'s str,
}

impl Pattern {
    /// Says what is wrong with a pattern, and where in it.
    pub(super) fn parse(text: &str) -> Result<Self, OptionError> {
        let wrong = |part: Option<Range<usize>>, message: String, hint: &str| OptionError {
            option: "pattern",
            part: part.filter(|part| !part.is_empty()),
            message,
            hint: Some(hint.to_owned()),
        };
        let example = "such as \"V{version}__{name}.sql\"";
        check_braces(text)
            .map_err(|(part, message)| wrong(Some(part), message, "known are `{version}` and `{name}`"))?;
        let version = text.find(VERSION).ok_or_else(|| {
            wrong(
                None,
                "the pattern has no `{version}`, which says in which order the files run".to_owned(),
                example,
            )
        })?;
        for placeholder in [VERSION, NAME] {
            if let Some((at, _)) = text.match_indices(placeholder).nth(1) {
                let part = at..at + placeholder.len();
                return Err(wrong(Some(part), format!("`{placeholder}` is there twice"), "write it once"));
            }
        }
        if let Some(at) = text.find(['/', '\\']) {
            let message = "files are looked for directly in the folder, so the pattern is a name without `/`";
            return Err(wrong(Some(at..at + 1), message.to_owned(), "`path` says which folder it is"));
        }
        let stem = text.strip_suffix(EXTENSION).ok_or_else(|| {
            wrong(
                None,
                "the pattern does not end with `.sql`, and dbctl runs nothing else".to_owned(),
                example,
            )
        })?;
        let behind = &stem[version + VERSION.len()..];
        let (between, after, has_name) = match (text.find(NAME), behind.split_once(NAME)) {
            (Some(at), None) => {
                let part = at..at + NAME.len();
                let message = "`{name}` stands before `{version}`, so that nobody can tell where it ends";
                return Err(wrong(Some(part), message.to_owned(), "the version comes first"));
            }
            (_, Some((between, after))) => (between, after, true),
            (None, None) => (behind, "", false),
        };
        if after.ends_with(".down") || !has_name && between.ends_with(".down") {
            let message = "the pattern is that of the files that apply; those that revert have `.down.sql` in its place";
            return Err(wrong(None, message.to_owned(), "write it without `.down`"));
        }
        Ok(Self {
            text: text.to_owned(),
            before: stem[..version].to_owned(),
            between: between.to_owned(),
            has_name,
            after: after.to_owned(),
        })
    }

    /// As the manifest spells it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The pieces of a stem, or `None` where it does not fit.
    pub(super) fn parts<'s>(&self, stem: &'s str) -> Option<Parts<'s>> {
        let rest = stem.strip_prefix(self.before.as_str())?;
        if !self.has_name {
            let version = rest.strip_suffix(self.between.as_str())?;
            return (version_ends(version).last() == Some(version.len()))
                .then_some(Parts { version, name: "" });
        }
        let rest = rest.strip_suffix(self.after.as_str())?;
        let ends: Vec<usize> = version_ends(rest).collect();
        ends.into_iter().rev().find_map(|end| {
            let name = rest[end..].strip_prefix(self.between.as_str())?;
            // Without anything between them, more digits would be the version's.
            let clear = !self.between.is_empty() || !name.starts_with(|c: char| c.is_ascii_digit());
            (!name.is_empty() && clear).then_some(Parts { version: &rest[..end], name })
        })
    }

    /// A stem of these pieces.
    pub(super) fn stem(&self, version: &str, name: &str) -> String {
        let name = if self.has_name { name } else { "" };
        format!("{}{version}{}{name}{}", self.before, self.between, self.after)
    }

    /// Whether a stem that does not fit was probably meant to: what stands before its first digit is what the pattern
    /// has there, give or take a character and whatever is no letter.
    pub(super) fn is_near(&self, stem: &str) -> bool {
        let letters = |text: &str| -> String {
            text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        };
        let Some(digit) = stem.find(|c: char| c.is_ascii_digit()) else { return false };
        strsim::damerau_levenshtein(&letters(&stem[..digit]), &letters(&self.before)) <= 1
    }
}

/// Finds braces that are no placeholder.
fn check_braces(text: &str) -> Result<(), (Range<usize>, String)> {
    let mut from = 0;
    while let Some(at) = text[from..].find(['{', '}']).map(|at| from + at) {
        let end = text[at..].find('}').map_or(text.len(), |end| at + end + 1);
        let placeholder = &text[at..end];
        if ![VERSION, NAME].contains(&placeholder) {
            return Err((at..end, format!("`{placeholder}` is no part of a file's name that dbctl knows")));
        }
        from = end;
    }
    Ok(())
}

/// Where a version at the start of a text may end: behind each of its groups.
fn version_ends(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let next = move || {
        let start =
            if at == 0 { 0 } else { matches!(bytes.get(at), Some(b'.' | b'-' | b'_')).then_some(at + 1)? };
        let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (digits > 0).then(|| {
            at = start + digits;
            at
        })
    };
    std::iter::from_fn(next)
}

/// Whether a text is a version and nothing else.
pub(super) fn is_version(text: &str) -> bool {
    version_ends(text).last() == Some(text.len())
}

/// The groups of a version, without the zeros they start with.
pub(super) fn numbers(version: &str) -> impl Iterator<Item = &str> {
    version.split(['.', '-', '_']).map(|group| match group.trim_start_matches('0') {
        "" => "0",
        number => number,
    })
}

/// By number, group by group; of any length, so no number is too large.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let key = |group: &str| (group.len(), group.to_owned());
    numbers(a).map(key).cmp(numbers(b).map(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_apart() {
        let cases = [
            (DEFAULT, "001_users", Some(("001", "users"))),
            (DEFAULT, "20260123_1800_accounts", Some(("20260123_1800", "accounts"))),
            (DEFAULT, "20260123_1800_2nd_try", Some(("20260123_1800", "2nd_try"))),
            (DEFAULT, "2025-11-05_telemetry", Some(("2025-11-05", "telemetry"))),
            (DEFAULT, "1.2.3_x", Some(("1.2.3", "x"))),
            (DEFAULT, "001_2024", Some(("001", "2024"))),
            (DEFAULT, "001_2024_x", Some(("001_2024", "x"))),
            (DEFAULT, "001__x", Some(("001", "_x"))),
            (DEFAULT, "001", None),
            (DEFAULT, "001_", None),
            (DEFAULT, "001-users", None),
            (DEFAULT, "users", None),
            (DEFAULT, "V1_users", None),
            ("V{version}__{name}.sql", "V12__x", Some(("12", "x"))),
            ("V{version}__{name}.sql", "V1_2__x_3", Some(("1_2", "x_3"))),
            ("V{version}__{name}.sql", "V1.2__3", Some(("1.2", "3"))),
            ("V{version}__{name}.sql", "v12__x", None),
            ("V{version}__{name}.sql", "V12_x", None),
            ("{version}.sql", "0001", Some(("0001", ""))),
            ("{version}.sql", "0001_x", None),
            ("m-{version}-up.sql", "m-1-2-up", Some(("1-2", ""))),
            ("{version}{name}.sql", "12init", Some(("12", "init"))),
            ("{version}{name}.sql", "123", None),
            ("{version}-{name}.up.sql", "1-a.up", Some(("1", "a"))),
            ("{version}-{name}.up.sql", "1-a", None),
        ];
        for (pattern, stem, expected) in cases {
            let pattern = Pattern::parse(pattern).unwrap();
            let expected = expected.map(|(version, name)| Parts { version, name });
            assert_eq!(pattern.parts(stem), expected, "{pattern:?} {stem}");
            if let Some(Parts { version, name }) = expected {
                assert_eq!(pattern.stem(version, name), stem);
            }
        }
    }

    #[test]
    fn mistakes_in_a_pattern_have_a_place() {
        for (pattern, part, message) in [
            ("", None, "has no `{version}`"),
            ("{name}.sql", None, "has no `{version}`"),
            ("{version}_{nmae}.sql", Some("{nmae}"), "`{nmae}` is no part"),
            ("{version}_{name.sql", Some("{name.sql"), "is no part"),
            ("{version}}_{name}.sql", Some("}"), "`}` is no part"),
            ("{version}_{version}_{name}.sql", Some("{version}"), "is there twice"),
            ("{version}_{name}_{name}.sql", Some("{name}"), "is there twice"),
            ("{name}_{version}.sql", Some("{name}"), "stands before"),
            ("{version}/up.sql", Some("/"), "without `/`"),
            ("{version}_{name}", None, "does not end with `.sql`"),
            ("{version}_{name}.SQL", None, "does not end with `.sql`"),
            ("{version}_{name}.down.sql", None, "those that revert"),
            ("{version}.down.sql", None, "those that revert"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.message.contains(message), "{pattern}: {error}");
            assert_eq!(error.part.map(|part| &pattern[part]), part, "{pattern}");
        }
    }

    #[test]
    fn names_that_were_meant_to_fit_are_told_from_helpers() {
        for (pattern, stem, near) in [
            (DEFAULT, "001-users", true),
            (DEFAULT, "_001_users", true),
            (DEFAULT, "V1__users", true),
            (DEFAULT, "O01_users", true),
            (DEFAULT, "data_2024", false),
            (DEFAULT, "seed", false),
            ("V{version}__{name}.sql", "v1__x", true),
            ("V{version}__{name}.sql", "V1_x", true),
            ("V{version}__{name}.sql", "001_x", true),
            ("V{version}__{name}.sql", "data_1", false),
            ("migration-{version}.sql", "migratoin_1", true),
            ("migration-{version}.sql", "1", false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().is_near(stem), near, "{pattern} {stem}");
        }
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let sorted = [
            "0",
            "001",
            "1.2",
            "1_10",
            "2",
            "10",
            "099",
            "100",
            "20260101",
            "20260101_1800",
            "2026010100000000000000000000000000000001",
        ];
        for (at, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        assert_eq!(compare("2025-11-05", "2025_11.5"), Ordering::Equal);
        for (text, is) in
            [("1", true), ("1.2_3", true), ("", false), ("1_", false), ("a1", false), ("1a", false)]
        {
            assert_eq!(is_version(text), is, "{text}");
        }
    }
}
