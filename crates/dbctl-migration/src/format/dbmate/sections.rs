//! `-- migrate:up` and `-- migrate:down`, as dbmate's `migration.go` finds them.

use std::ops::Range;

const UP: &str = "migrate:up";
const DOWN: &str = "migrate:down";

/// Where the two parts of a file stand, each with the line of its marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sections {
    pub(super) up: Range<usize>,
    pub(super) down: Range<usize>,
}

/// What keeps a file from being a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Byte offset of what is wrong.
    pub(super) offset: usize,
    pub(super) message: String,
}

/// The parts of a file.
pub(super) fn sections(text: &str) -> Result<Sections, Wrong> {
    let wrong = |offset, message: &str| Err(Wrong { offset, message: message.to_owned() });
    let ups = markers(text, UP);
    let Some(up) = ups.first().copied() else {
        return match misspelled(text, UP) {
            Some(offset) => wrong(
                offset,
                "dbmate takes this for a mere comment: `-- migrate:up` starts at the start of a line and is in lower \
                 case",
            ),
            None => wrong(
                0,
                "there is no line `-- migrate:up`, so dbmate fails here: write one above what is to run, and \
                 `-- migrate:down` above what reverts it",
            ),
        };
    };
    if let Some(offset) = first_text(&text[..up]) {
        return wrong(
            offset,
            "dbmate fails at what stands above `-- migrate:up`, where only empty lines and `--` comments may: move it \
             below",
        );
    }
    let downs: Vec<usize> = markers(text, DOWN).into_iter().filter(|down| *down > up).collect();
    let until = ups.get(1).copied();
    let Some(down) = downs.first().copied().filter(|down| until.is_none_or(|until| *down < until)) else {
        let offset = misspelled(&text[up..until.unwrap_or(text.len())], DOWN).map_or(up, |at| up + at);
        return wrong(
            offset,
            "there is no line `-- migrate:down` for this part, so dbmate fails here: write one below it, with nothing \
             behind it where there is no way back",
        );
    };
    match (until, downs.get(1).copied()) {
        (Some(second), other) if other.is_none_or(|other| second < other) => wrong(
            second,
            "a second `-- migrate:up`: dbmate commits the first pair of parts and fails at this one, since the version \
             is recorded by then (older versions take it for a part of the way back); move it into a file of its own",
        ),
        (_, Some(second)) => {
            wrong(second, "a second `-- migrate:down`, at which dbmate fails: put the two parts together")
        }
        (_, None) => Ok(Sections { up: up..down, down: down..text.len() }),
    }
}

/// Whether the options on the marker of a part say `transaction:false`.
pub(super) fn runs_alone(part: &str) -> bool {
    let line = part.split('\n').next().unwrap_or_default();
    let rest = line.strip_prefix("--").map(|rest| rest.trim_start_matches(is_space)).unwrap_or_default();
    let options = [UP, DOWN].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let last = options
        .split(is_space)
        .filter_map(|option| option.split_once(':'))
        .rfind(|(key, value)| *key == "transaction" && !value.contains(':'));
    last.is_some_and(|(_, value)| value == "false")
}

/// The matches of `(?m)^--\s*<word>(\s*$|\s+\S+)`.
fn markers(text: &str, word: &str) -> Vec<usize> {
    let is_marker = |start: &usize| {
        let Some(rest) = text[*start..].strip_prefix("--") else { return false };
        let rest = rest.trim_start_matches(is_space);
        rest.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(is_space))
    };
    lines(text).map(|(start, _)| start).filter(is_marker).collect()
}

/// A comment that was probably meant to be a marker.
fn misspelled(text: &str, word: &str) -> Option<usize> {
    lines(text).find_map(|(start, line)| {
        let blanks = line.len() - line.trim_start().len();
        let comment = line.trim_start().strip_prefix("--")?.trim_start();
        let head = comment.get(..word.len())?;
        let ends = comment[word.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric());
        (head.eq_ignore_ascii_case(word) && ends).then_some(start + blanks)
    })
}

/// What is neither an empty line nor a `--` comment.
fn first_text(text: &str) -> Option<usize> {
    lines(text).find_map(|(start, line)| {
        let rest = line.trim_start_matches(is_space);
        (!rest.is_empty() && !rest.starts_with("--")).then(|| start + line.len() - rest.len())
    })
}

/// Lines as Go's regular expressions see them, with their offsets.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').scan(0, |next, line| {
        let start = *next;
        *next += line.len() + 1;
        Some((start, line))
    })
}

/// `\s` of Go.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0C' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_tool() {
        let cases = [
            ("-- migrate:up\na\n-- migrate:down\nb\n", "-- migrate:up\na\n", "-- migrate:down\nb\n"),
            ("-- migrate:up\n-- migrate:down", "-- migrate:up\n", "-- migrate:down"),
            ("--migrate:up\ta:b\n--\tmigrate:down x", "--migrate:up\ta:b\n", "--\tmigrate:down x"),
            (
                "\n \t\n -- a\n-- migrate:up\r\n-- migrate:down\r\n",
                "-- migrate:up\r\n",
                "-- migrate:down\r\n",
            ),
            // Neither is a marker to the tool.
            (
                "-- migrate:upgrade\n-- migrate:up\n-- migrate:downgrade\n-- migrate:down",
                "-- migrate:up\n-- migrate:downgrade\n",
                "-- migrate:down",
            ),
            // A comment as good as any.
            ("-- migrate:down\n-- migrate:up\n-- migrate:down\n", "-- migrate:up\n", "-- migrate:down\n"),
            // Its regular expression looks over the end of the line; the server then does not know the word.
            ("--\nmigrate:up\n-- migrate:down", "--\nmigrate:up\n", "-- migrate:down"),
        ];
        for (text, up, down) in cases {
            let found = sections(text).unwrap();
            assert_eq!((&text[found.up], &text[found.down]), (up, down), "{text:?}");
        }
    }

    #[test]
    fn what_the_tool_fails_at_is_told_with_its_place() {
        let cases = [
            ("", 0, "there is no line `-- migrate:up`"),
            ("select 1;", 0, "there is no line `-- migrate:up`"),
            (" -- migrate:up\na\n-- migrate:down", 1, "takes this for a mere comment"),
            ("-- x\n-- MIGRATE:UP\na\n-- migrate:down", 5, "takes this for a mere comment"),
            ("-- x\n  a;\n-- migrate:up\n-- migrate:down", 7, "what stands above `-- migrate:up`"),
            ("/* x */\n-- migrate:up\n-- migrate:down", 0, "what stands above `-- migrate:up`"),
            ("-- migrate:down\nb\n-- migrate:up\na", 16, "what stands above `-- migrate:up`"),
            ("-- migrate:down\n-- migrate:up\na", 16, "no line `-- migrate:down`"),
            ("-- migrate:up\na\n", 0, "no line `-- migrate:down`"),
            ("-- migrate:up\na\n -- migrate:Down\nb", 17, "no line `-- migrate:down`"),
            ("-- migrate:up\na\n-- migrate:up\nb\n-- migrate:down", 0, "no line `-- migrate:down`"),
            (
                "-- migrate:up\n-- migrate:down\n-- migrate:up\n-- migrate:down\n",
                30,
                "a second `-- migrate:up`",
            ),
            ("-- migrate:up\n-- migrate:down\n-- migrate:up\n", 30, "a second `-- migrate:up`"),
            ("-- migrate:up\n-- migrate:down\n-- migrate:down\n", 30, "a second `-- migrate:down`"),
        ];
        for (text, offset, message) in cases {
            let wrong = sections(text).unwrap_err();
            assert_eq!(wrong.offset, offset, "{text:?} {wrong:?}");
            assert!(wrong.message.contains(message), "{text:?} {wrong:?}");
        }
    }

    #[test]
    fn options_are_those_of_the_tool() {
        let cases = [
            ("-- migrate:up", false),
            ("-- migrate:up transaction:false", true),
            ("--migrate:down\ttransaction:false\r", true),
            ("-- migrate:up x transaction:false -- since", true),
            ("-- migrate:up transaction:true transaction:false", true),
            ("-- migrate:up transaction:false transaction:true", false),
            ("-- migrate:up transaction:False", false),
            ("-- migrate:up transaction: false", false),
            ("-- migrate:up transaction:false:no", false),
            ("-- migrate:up\n-- transaction:false", false),
            ("--\nmigrate:up transaction:false", false),
        ];
        for (part, alone) in cases {
            assert_eq!(runs_alone(part), alone, "{part:?}");
        }
    }

    #[test]
    fn markers_everywhere_cost_linear_time() {
        for run in ["--\n", "-- migrate:up\n", "\n"] {
            let text = run.repeat(200_000);
            assert!(sections(&text).is_err());
        }
    }
}
