//! Telling by names and contents which tool a folder belongs to.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{
    FormatKind,
    listing::{leading_digits, names, split_extension},
    native, node_pg_migrate,
};

/// How much of a file is looked at; markers stand near its beginning.
const LOOKED_AT_BYTES: u64 = 64 * 1024;

/// Beginnings of the lines by which dbmate, goose, graphile-migrate, tern and Drizzle mark parts of a file.
const FOREIGN_MARKS: [&str; 5] =
    ["-- migrate:up", "-- +goose ", "--! previous:", "---- create above", "--> statement-breakpoint"];

/// What speaks for which format.
#[derive(Default)]
struct Evidence {
    /// 14 digits, `_`, a name in snake case.
    native_names: bool,
    /// 13 or 17 digits.
    node_names: bool,
    /// `-- Up Migration` or `-- Down Migration` in a file with a number.
    node_markers: bool,
    /// Marks of a tool that dbctl does not know yet.
    foreign_marks: bool,
}

pub(super) fn detect(folder: &Path) -> io::Result<Vec<FormatKind>> {
    let listed = match names(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut evidence = Evidence::default();
    for listed in listed {
        let (stem, extension) = split_extension(&listed.name);
        let is_sql = extension == "sql";
        if !is_sql && !node_pg_migrate::is_script(&extension) {
            continue;
        }
        let path = folder.join(&listed.file_name);
        // A broken link is told when the folder is read, with its name.
        if !std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let digits = leading_digits(stem).len();
        evidence.node_names |= matches!(digits, 13 | 17);
        if is_sql {
            let text = beginning(&path)?;
            evidence.native_names |= native::is_stem(stem);
            evidence.node_markers |= digits > 0 && node_pg_migrate::has_markers(&text);
            evidence.foreign_marks |= has_foreign_mark(&text);
        }
    }
    Ok(evidence.candidates())
}

impl Evidence {
    /// A format is left out where reading the folder by it would run another tool's down parts with the up parts.
    fn candidates(&self) -> Vec<FormatKind> {
        let mut candidates = Vec::new();
        if self.node_markers || self.node_names && !self.foreign_marks {
            candidates.push(FormatKind::NodePgMigrate);
        }
        if self.native_names && !self.foreign_marks {
            candidates.push(FormatKind::Native);
        }
        candidates
    }
}

fn beginning(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LOOKED_AT_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn has_foreign_mark(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches('\u{feff}').trim_start();
        FOREIGN_MARKS
            .iter()
            .any(|mark| line.get(..mark.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(mark)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<FormatKind> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        detect(dir.path()).unwrap()
    }

    #[test]
    fn folders_are_told_apart() {
        use FormatKind::{Native, NodePgMigrate};
        let up_and_down = "-- Up Migration\n;\n-- Down Migration\n;";
        type Files<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(Files<'_>, &[FormatKind])] = &[
            (&[], &[]),
            (&[("README.md", "-- Up Migration"), ("helpers.sql", ""), (".20260101000000_a.sql", "")], &[]),
            (&[("20260101000000_a.sql", "")], &[Native]),
            (&[("20260101000000_a.sql", ""), ("20260101000000_a.down.sql", ""), ("x.sql", "")], &[Native]),
            (&[("1700000000000_a.sql", "")], &[NodePgMigrate]),
            (&[("20260101000000000_a.sql", "")], &[NodePgMigrate]),
            (&[("1700000000000_a.js", "")], &[NodePgMigrate]),
            (&[("0001_a.sql", up_and_down)], &[NodePgMigrate]),
            (&[("0001_a.sql", "-- up migration")], &[NodePgMigrate]),
            (&[("0001_a.sql", "")], &[]),
            (&[("a.sql", up_and_down)], &[]),
            // Look-alikes: somebody has to say which it is.
            (&[("20260101000000_a.sql", up_and_down)], &[NodePgMigrate, Native]),
            (&[("20260101000000_a.sql", "-- down migration of b")], &[NodePgMigrate, Native]),
            (&[("20260101000000_a.sql", ""), ("1700000000000_b.sql", "")], &[NodePgMigrate, Native]),
            // Other tools' folders.
            (&[("20260101000000_a.up.sql", ""), ("20260101000000_a.down.sql", "")], &[]),
            (&[("20260101000000_a.sql", "-- migrate:up\n;\n-- migrate:down\n;")], &[]),
            (&[("1700000000000_a.sql", "-- migrate:up\n;\n-- migrate:down\n;")], &[]),
            (&[("20260101000000_a.sql", "\u{feff}-- +GOOSE Up\n;")], &[]),
            (&[("20260101000000_a.sql", "a;\n--> statement-breakpoint\nb;")], &[]),
            (&[("20260101000000_a.sql", "--! Previous: -\n")], &[]),
            (&[("20260101000000_a.sql", "a;\n---- create above / drop below ----\nb;")], &[]),
        ];
        for (files, expected) in cases {
            assert_eq!(check(files), *expected, "{files:?}");
        }
    }

    #[test]
    fn folders_in_folders_and_bytes_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("1700000000000_a.sql")).unwrap();
        assert_eq!(detect(dir.path()).unwrap(), []);
        std::fs::write(dir.path().join("20260101000000_a.sql"), b"\xFF\xFEa\0").unwrap();
        assert_eq!(detect(dir.path()).unwrap(), [FormatKind::Native]);
        assert_eq!(detect(&dir.path().join("gone")).unwrap(), []);
        assert!(detect(&dir.path().join("20260101000000_a.sql")).is_err());
    }
}
