//! `-- Up Migration` and `-- Down Migration`, as `sqlMigration.ts` finds them.

use std::ops::Range;

/// Where the two parts of a file stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sections {
    pub(super) up: Range<usize>,
    pub(super) down: Option<Range<usize>>,
}

/// The parts of a file. Without an up marker the whole file is the up part, even where there is a down marker.
pub(super) fn sections(text: &str) -> Sections {
    let up = find(text, "up");
    let down = find(text, "down");
    let until = |start: usize, other: Option<usize>| match other {
        Some(other) if other > start => start..other,
        _ => start..text.len(),
    };
    Sections {
        up: up.map_or(0..text.len(), |start| until(start, down)),
        down: down.map(|start| until(start, up)),
    }
}

/// Whether a file has any marker.
pub(super) fn has_markers(text: &str) -> bool {
    find(text, "up").or_else(|| find(text, "down")).is_some()
}

/// The first match of `/^\s*--[\s-]*<word>\s+migration/im`.
///
/// Where a line does not match, none of the lines that its blanks and dashes run through can: each leads to the same
/// text. Skipping them keeps the search linear.
fn find(text: &str, word: &str) -> Option<usize> {
    let mut line = 0;
    loop {
        let rest = text[line..].trim_start_matches(is_space);
        let rest = match rest.strip_prefix("--") {
            None => rest,
            Some(rest) => {
                let rest = rest.trim_start_matches(|c| c == '-' || is_space(c));
                if is_marker(rest, word) {
                    return Some(line);
                }
                rest
            }
        };
        let reached = text.len() - rest.len();
        let (at, _) =
            rest.char_indices().find(|(_, c)| matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}'))?;
        let end = reached + at;
        line = end + text[end..].chars().next().map_or(1, char::len_utf8);
    }
}

fn is_marker(text: &str, word: &str) -> bool {
    let Some(rest) = strip_word(text, word) else { return false };
    let after = rest.trim_start_matches(is_space);
    after.len() < rest.len() && strip_word(after, "migration").is_some()
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

/// `\s` of JavaScript, which knows the byte order mark and not U+0085.
fn is_space(c: char) -> bool {
    c == '\u{feff}' || c.is_whitespace() && c != '\u{85}'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sections_are_those_of_the_tool() {
        let cases = [
            ("", "", None),
            ("select 1;", "select 1;", None),
            (
                "-- Up Migration\na\n-- Down Migration\nb\n",
                "-- Up Migration\na\n",
                Some("-- Down Migration\nb\n"),
            ),
            (
                "-- Down Migration\nb\n-- Up Migration\na\n",
                "-- Up Migration\na\n",
                Some("-- Down Migration\nb\n"),
            ),
            ("head\n\n--UP\tMIGRATIONS\na", "\n--UP\tMIGRATIONS\na", None),
            ("a\n--- - up  migration", "--- - up  migration", None),
            ("a\n--\n--\n-- up\nmigration x", "--\n--\n-- up\nmigration x", None),
            ("a\r\n-- up migration", "\n-- up migration", None),
            ("a\r  -- up migration", "  -- up migration", None),
            ("a\u{2028}-- up migration", "-- up migration", None),
            ("\u{feff}-- up migration\n", "\u{feff}-- up migration\n", None),
            // The whole file, as the tool runs it: whoever forgets the up marker drops what was created.
            ("a\n-- Down Migration\nb", "a\n-- Down Migration\nb", Some("-- Down Migration\nb")),
            ("-- up migration of users\na", "-- up migration of users\na", None),
            ("a -- up migration", "a -- up migration", None),
            ("-- upmigration", "-- upmigration", None),
            ("-- update migration", "-- update migration", None),
            ("-- up\u{85}migration", "-- up\u{85}migration", None),
            ("-- the up migration\n- up migration", "-- the up migration\n- up migration", None),
            ("--\nä-- up migration\n--ü\n-- up migration", "-- up migration", None),
        ];
        for (text, up, down) in cases {
            let found = sections(text);
            assert_eq!(&text[found.up], up, "{text:?}");
            assert_eq!(found.down.map(|range| &text[range]), down, "{text:?}");
        }
    }

    /// The regular expression taken literally: every line, every time.
    fn slow(text: &str, word: &str) -> Option<usize> {
        let after_break = text
            .char_indices()
            .filter(|(_, c)| matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}'))
            .map(|(at, c)| at + c.len_utf8());
        std::iter::once(0).chain(after_break).find(|start| {
            let rest = text[*start..].trim_start_matches(is_space).strip_prefix("--");
            rest.is_some_and(|rest| is_marker(rest.trim_start_matches(|c| c == '-' || is_space(c)), word))
        })
    }

    proptest! {
        #[test]
        fn skipping_lines_finds_the_same(text in "(up|down|migration|-|--|\n|\r| |x|\u{2028}|\u{feff}){0,30}") {
            prop_assert_eq!(find(&text, "up"), slow(&text, "up"));
            prop_assert_eq!(find(&text, "down"), slow(&text, "down"));
            let found = sections(&text);
            prop_assert!(found.up.end <= text.len());
        }
    }

    #[test]
    fn long_runs_of_blank_lines_cost_linear_time() {
        for run in ["\n", "--\n", "- ", "-- up\n"] {
            assert_eq!(find(&run.repeat(1_000_000 / run.len()), "up"), None);
        }
    }
}
