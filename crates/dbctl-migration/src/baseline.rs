//! One file in place of many: what stands for the past of a source on a database that is new.

use std::path::Path;

use crate::{
    Applied, Checksum, Dialect, DirectiveError, Directives, Entry, FormatError, Migration, Progress,
    Reconciled, Script, State, Transaction, Version, text,
};

/// Where a source's baseline stands among its files in the order in which they apply. What stands before it is the past
/// that it holds; what stands behind it is applied after it, whatever the numbers of the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// Its index.
    pub place: usize,
    /// Whether it is a migration of the folder, recorded as any other, and not a file of plain SQL beside it.
    pub own: bool,
    /// The last version that it holds, be it on disk or not, where that can be compared with others.
    pub through: Option<LastVersion>,
}

/// A version of digits alone. It compares with those that have as many: how versions of other shapes sort is their
/// format's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastVersion(String);

impl LastVersion {
    /// From a version, a name or a file name; `None` where it does not begin with digits.
    pub fn of(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        (end > 0 && !text[end..].starts_with(|c: char| c.is_alphanumeric()))
            .then(|| Self(text[..end].to_owned()))
    }

    /// Whether a version is that one or an earlier one; `None` where they do not compare.
    pub fn holds(&self, version: &Version) -> Option<bool> {
        let version = version.as_str();
        let compares = version.len() == self.0.len() && version.bytes().all(|byte| byte.is_ascii_digit());
        compares.then(|| version <= self.0.as_str())
    }
}

impl Baseline {
    /// Takes the baseline to its place: behind the `past` first files, which it holds, itself not counted.
    pub fn place(
        mut migrations: Vec<Migration>,
        file: BaselineFile,
        past: usize,
        through: Option<LastVersion>,
    ) -> (Vec<Migration>, Self) {
        let (file, own) = match file {
            BaselineFile::Own(at) => (migrations.remove(at), true),
            BaselineFile::Plain(file) => (*file, false),
        };
        migrations.insert(past, file);
        (migrations, Self { place: past, own, through })
    }
}

/// Which file it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineFile {
    /// A migration of the folder, by its index.
    Own(usize),
    /// A file of plain SQL.
    Plain(Box<Migration>),
}

impl BaselineFile {
    /// Reads a file of plain SQL. It is called by its file name; `shown` is its path as errors show it.
    pub fn plain(path: &Path, shown: &Path, dialect: Dialect) -> Result<Self, FormatError> {
        let sql = text::read(path, shown)?;
        let wrong = |error: DirectiveError| FormatError::Directive { path: shown.to_owned(), error };
        let directives = Directives::parse_as(&sql, dialect).map_err(wrong)?;
        let name = shown.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let transaction = if directives.no_transaction { Transaction::None } else { Transaction::One };
        Ok(Self::Plain(Box::new(Migration {
            version: Version::new(name.clone()),
            name,
            checksum: Checksum::of_text(&sql),
            tool_checksum: None,
            up: Script { path: shown.to_owned(), first_line: 1, sql, transaction },
            down: None,
            directives,
        })))
    }
}

impl Reconciled<'_> {
    /// The states of a source that has a baseline.
    ///
    /// On a database that has a history of the source the baseline is never due: a migration of the folder counts as
    /// applied then, and a file beside it is left out. It is due where nothing is recorded, and where it was begun; what
    /// it holds is pending until then and never out of order. Applied files of the past that are gone from the disk are
    /// what it was made of.
    #[must_use]
    pub fn with_baseline(mut self, baseline: &Baseline) -> Self {
        let Some(at) = self.entry_of(baseline.place) else { return self };
        let recorded = |entry: &Entry<'_>| entry.is_recorded();
        if self.entries[at].applied.as_ref().is_some_and(is_begun) {
            for entry in self.entries[..at].iter_mut().filter(|entry| entry.state == State::OutOfOrder) {
                entry.state = State::Pending;
            }
            return self;
        }
        // Up to the last file of the past, if there is any.
        let past = baseline.place.checked_sub(1).and_then(|last| self.entry_of(last)).unwrap_or(at);
        for (place, entry) in self.entries.iter_mut().enumerate() {
            let Some(row) = entry.applied.as_ref().filter(|row| row.progress == Progress::Whole) else {
                continue;
            };
            let held = baseline.through.as_ref().and_then(|through| through.holds(&row.version));
            if entry.state == State::Missing && held.unwrap_or(place < past) {
                entry.state = State::Applied;
            }
        }
        if !recorded(&self.entries[at]) && self.entries.iter().any(recorded) {
            match baseline.own {
                true => self.entries[at].state = State::Applied,
                false => drop(self.entries.remove(at)),
            }
        }
        self
    }

    /// The entry of the file with that index.
    fn entry_of(&self, file: usize) -> Option<usize> {
        let on_disk = self.entries.iter().enumerate().filter(|(_, entry)| entry.local.is_some());
        on_disk.map(|(at, _)| at).nth(file)
    }

    /// The entry of a baseline that is still to be run, be it for the first time or to its end.
    pub fn due(&self, baseline: &Baseline, file: &Migration) -> Option<usize> {
        let at = self.entry_of(baseline.place)?;
        let entry = &self.entries[at];
        let is_it = entry.local.is_some_and(|local| local.name == file.name);
        let due = match entry.state {
            State::Pending | State::OutOfOrder | State::Partial => true,
            State::Applied | State::Changed | State::Missing | State::Failed => false,
        };
        (is_it && due).then_some(at)
    }
}

fn is_begun(row: &Applied) -> bool {
    match row.progress {
        Progress::Partial { .. } => true,
        Progress::Whole | Progress::Reverting { .. } | Progress::Failed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyedBy, reconcile, test_support::migration};

    fn row(text: &str) -> Applied {
        let migration = migration(text.trim_end_matches('%'));
        let begun = Progress::Partial { done: 0, started: false, digest: None };
        Applied {
            version: migration.version,
            name: migration.name,
            checksum: Some(migration.checksum),
            at: None,
            elapsed: None,
            progress: if text.ends_with('%') { begun } else { Progress::Whole },
            tool_row: None,
        }
    }

    /// The states of `files`, which a baseline follows behind the first `past` of the others.
    fn check(files: &str, file: &str, past: usize, applied: &str) -> String {
        check_through(files, file, (past, ""), applied)
    }

    fn check_through(files: &str, file: &str, (past, through): (usize, &str), applied: &str) -> String {
        let local: Vec<_> = files.split_whitespace().map(migration).collect();
        let file = match local.iter().position(|one| one.name == file) {
            Some(at) => BaselineFile::Own(at),
            None => BaselineFile::Plain(Box::new(migration(file))),
        };
        let (local, baseline) = Baseline::place(local, file, past, LastVersion::of(through));
        let applied: Vec<_> = applied.split_whitespace().map(row).collect();
        let reconciled = reconcile(&local, &applied, KeyedBy::Name).with_baseline(&baseline);
        let due = reconciled.due(&baseline, &local[baseline.place]).is_some();
        let states: Vec<_> = reconciled
            .entries
            .iter()
            .map(|entry| format!("{}={}", entry.name(), entry.state.as_str()))
            .collect();
        format!("{}{}", states.join(" "), if due { " due" } else { "" })
    }

    #[test]
    fn states_beside_a_baseline() {
        let files = "1_a 2_b 3_c 9_all";
        for (applied, expected) in [
            ("", "1_a=pending 2_b=pending 9_all=pending 3_c=pending due"),
            // It was run here; what comes later is not late.
            ("1_a 2_b 9_all", "1_a=applied 2_b=applied 9_all=applied 3_c=pending"),
            ("1_a 2_b 9_all 3_c", "1_a=applied 2_b=applied 9_all=applied 3_c=applied"),
            // The past was run here, file by file.
            ("1_a", "1_a=applied 2_b=pending 9_all=applied 3_c=pending"),
            ("1_a 2_b", "1_a=applied 2_b=applied 9_all=applied 3_c=pending"),
            ("1_a 2_b 3_c", "1_a=applied 2_b=applied 9_all=applied 3_c=applied"),
            ("2_b", "1_a=out_of_order 2_b=applied 9_all=applied 3_c=pending"),
            // Files of the past that are in the archive, and one that is gone for another reason.
            ("0_z 1_a 2_b", "0_z=applied 1_a=applied 2_b=applied 9_all=applied 3_c=pending"),
            ("1_a 2_b 2_x", "1_a=applied 2_b=applied 2_x=missing 9_all=applied 3_c=pending"),
            // Begun beside another source.
            ("9_all%", "1_a=pending 2_b=pending 9_all=partial 3_c=pending due"),
        ] {
            assert_eq!(check(files, "9_all", 2, applied), expected, "{applied}");
        }
    }

    #[test]
    fn versions_of_one_length_compare() {
        let holds = |through: &str, version: &str| LastVersion::of(through)?.holds(&Version::new(version));
        for (through, version, expected) in [
            ("20250115000000", "20250115000000", Some(true)),
            ("20250115000000_x.sql", "20250110000000", Some(true)),
            ("20250115000000", "20250116000000", Some(false)),
            ("20250115000000", "20251105", None),
            ("9", "10", None),
            ("1a", "1", None),
            ("init", "1", None),
        ] {
            assert_eq!(holds(through, version), expected, "{through} {version}");
        }
        // The archive holds 2 and 3, the first of which somebody applied late; 5 is gone for another reason.
        assert_eq!(
            check_through("1_a 4_d 9_all", "9_all", (1, "3"), "1_a 3_c 4_d 2_b 5_e"),
            "1_a=applied 3_c=applied 9_all=applied 4_d=applied 2_b=applied 5_e=missing"
        );
    }

    #[test]
    fn a_file_beside_the_folder_is_no_migration() {
        for (applied, expected) in [
            ("", "1_a=pending all=pending 2_b=pending due"),
            ("1_a", "1_a=applied 2_b=pending"),
            ("1_a 2_b", "1_a=applied 2_b=applied"),
            ("all%", "1_a=pending all=partial 2_b=pending due"),
        ] {
            assert_eq!(check("1_a 2_b", "all", 1, applied), expected, "{applied}");
        }
    }

    #[test]
    fn one_that_holds_nothing_but_itself_comes_first() {
        for (applied, expected) in [
            ("", "9_all=pending 5_e=pending due"),
            ("9_all", "9_all=applied 5_e=pending"),
            ("1_a 2_b 5_e", "1_a=applied 2_b=applied 9_all=applied 5_e=applied"),
            ("1_a 2_b", "1_a=applied 2_b=applied 9_all=applied 5_e=pending"),
        ] {
            assert_eq!(check("5_e 9_all", "9_all", 0, applied), expected, "{applied}");
        }
    }
}
