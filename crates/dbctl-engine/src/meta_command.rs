//! What to write instead of a command of psql's.

use dbctl_migration::split::SplitError;

/// What helps where a script cannot be split into statements, in one line.
pub fn split_hint(error: &SplitError) -> Option<String> {
    match error {
        SplitError::MetaCommand { command, .. } => Some(instead_of(command).to_owned()),
        SplitError::DotCommand { .. } => Some("write out in SQL what it does".to_owned()),
        SplitError::Unterminated { .. } | SplitError::UnterminatedCopy { .. } => None,
    }
}

/// `command` comes with its backslash.
fn instead_of(command: &str) -> &'static str {
    match command.trim_start_matches('\\') {
        "restrict" | "unrestrict" => "pg_dump writes that line for psql alone: delete it",
        "c" | "connect" => {
            "a file runs in the one database it belongs to: delete the line, and move what is meant for another \
             database to the migrations of that one"
        }
        "i" | "ir" | "include" | "include_relative" => {
            "put the text of that file here, or make it a migration of its own"
        }
        "copy" => {
            "write `COPY table FROM stdin;` with the rows below it and `\\.` on a line of its own after them; or make \
             the file a CSV seed"
        }
        "." => "it ends the rows of a `COPY table FROM stdin;`, which have to stand right below that",
        "set" | "unset" | "gset" | "getenv" | "prompt" => {
            "there are no variables of psql's: write the value itself, or set it under `settings` in the manifest and \
             read it with current_setting('app.name')"
        }
        "if" | "elif" | "else" | "endif" => "decide it in SQL: `DO $$ BEGIN IF … THEN … END IF; END $$;`",
        "gexec" => "run what a query makes in SQL: `DO $$ BEGIN … EXECUTE …; … END $$;`",
        "g" | "gx" | "gdesc" | "crosstabview" | "watch" | ";" => "end the statement with `;` instead",
        "echo" | "qecho" | "warn" => {
            "say it in SQL, `DO $$ BEGIN RAISE NOTICE '…'; END $$;`, or delete the line"
        }
        "!" => "a file runs no programs: delete the line; seeds may be programs (`seeds: { runners: … }`)",
        "encoding" => "files are UTF-8: save it so, and delete the line",
        "q" | "quit" => "a file runs to its end: delete the line and what is not to run",
        _ => "delete it: dbctl sends SQL alone, and psql has no part in it",
    }
}

#[cfg(test)]
mod tests {
    use dbctl_migration::split::split;

    use super::*;

    #[test]
    fn what_to_write_instead() {
        for (sql, expected) in [
            ("select 1\n\\restrict abc\n;", Some("delete it")),
            ("\\connect other", Some("move what is meant for another")),
            ("\\c other", Some("move what is meant for another")),
            ("\\ir sub/file.sql", Some("a migration of its own")),
            ("\\copy t from 'x.csv' csv", Some("CSV seed")),
            ("\\set x 1", Some("current_setting")),
            ("select 1 \\gset", Some("current_setting")),
            ("select 1 \\g\n", Some("end the statement with `;`")),
            ("\\if :x\n", Some("IF … THEN")),
            ("\\echo hi", Some("RAISE NOTICE")),
            ("\\!rm", Some("runs no programs")),
            ("\\.\n", Some("FROM stdin")),
            ("\\timing on", Some("delete it")),
            ("select 'a", None),
        ] {
            let hint = split_hint(&split(sql).unwrap_err());
            assert_eq!(hint.is_some(), expected.is_some(), "{sql}");
            let hint = hint.unwrap_or_default();
            assert!(hint.contains(expected.unwrap_or_default()), "{sql}: {hint}");
        }
    }
}
