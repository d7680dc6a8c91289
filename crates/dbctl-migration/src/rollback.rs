//! What `rollback` undoes, in which order, decided before anything runs.

use std::path::PathBuf;

use thiserror::Error;

use crate::{Applied, Entry, Migration, Progress, Reconciled, State};

/// How far to go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// The last so many applied migrations; all of them where there are fewer.
    Count(usize),
    /// Everything behind the migration with this version, name or file name, which itself stays applied.
    To(String),
    /// Every applied migration.
    All,
    /// The migration with this version, name or file name and nothing else.
    Only(String),
}

/// Why nothing can be rolled back as asked. Names are in the order in which the migrations would be undone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RollbackError {
    /// Neither the version nor the name nor the file name of a migration.
    #[error("there is no migration `{target}`")]
    Unknown {
        /// What was asked for.
        target: String,
    },
    /// Several migrations share the version, and only one can be meant.
    #[error("`{target}` could be any of {}", names.join(", "))]
    Ambiguous {
        /// What was asked for.
        target: String,
        /// What it could be, in the order on disk.
        names: Vec<String>,
    },
    /// It is on disk and not in the database.
    #[error("migration {name} is not applied")]
    NotApplied {
        /// Its name.
        name: String,
    },
    /// Only one migration was asked for, and later ones build on it.
    #[error("migration {name} cannot be rolled back alone, since later ones are applied: {}", later.join(", "))]
    LaterApplied {
        /// Its name.
        name: String,
        /// The later ones, last first.
        later: Vec<String>,
    },
    /// Only some were asked for, and later ones that stay build on one of them.
    #[error("migration {name} cannot be rolled back, since later ones stay that may build on it: {}", later.join(", "))]
    LaterStay {
        /// Its name.
        name: String,
        /// The later ones, last first.
        later: Vec<String>,
    },
    /// Applied, but no longer on disk, so that nobody knows how to undo it.
    #[error("applied migrations are missing on disk: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// Stopped half-way or recorded as failed: neither its up nor its down part fits what is in the database.
    #[error("migrations are applied only in part: {}", .0.join(", "))]
    Partial(Vec<String>),
    /// Files without a down part.
    #[error("no down part in {}", .0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoDown(Vec<PathBuf>),
}

/// The migrations to undo, in that order: the reverse of the order on disk. Each can be: [`Migration::reverted_by`].
///
/// A file that has changed since it was applied may be rolled back: that is how a wrong one is mended.
pub fn rollback_order<'m>(
    reconciled: &Reconciled<'m>,
    back: &Back,
) -> Result<Vec<&'m Migration>, RollbackError> {
    let entries = &reconciled.entries;
    let recorded_behind = |start: usize| entries[start..].iter().rev().filter(|entry| entry.is_recorded());
    let chosen: Vec<&Entry<'m>> = match back {
        Back::Count(count) => recorded_behind(0).take(*count).collect(),
        Back::All => recorded_behind(0).collect(),
        Back::To(target) => {
            // Where several share the version they all stay, as they all run for `migrate --to`.
            let place = entries
                .iter()
                .rposition(|entry| entry.matches(target))
                .ok_or_else(|| RollbackError::Unknown { target: target.clone() })?;
            applied(&entries[place])?;
            recorded_behind(place + 1).collect()
        }
        Back::Only(target) => {
            let place = only_place(entries, target)?;
            let entry = applied(&entries[place])?;
            let later: Vec<String> =
                recorded_behind(place + 1).map(|entry| entry.name().to_owned()).collect();
            if !later.is_empty() {
                return Err(RollbackError::LaterApplied { name: entry.name().to_owned(), later });
            }
            vec![entry]
        }
    };
    undoable(&chosen)
}

fn applied<'e, 'm>(entry: &'e Entry<'m>) -> Result<&'e Entry<'m>, RollbackError> {
    if entry.is_recorded() {
        Ok(entry)
    } else {
        Err(RollbackError::NotApplied { name: entry.name().to_owned() })
    }
}

fn only_place(entries: &[Entry<'_>], target: &str) -> Result<usize, RollbackError> {
    let places: Vec<usize> = (0..entries.len()).filter(|place| entries[*place].matches(target)).collect();
    match places[..] {
        [] => Err(RollbackError::Unknown { target: target.to_owned() }),
        [place] => Ok(place),
        _ => Err(RollbackError::Ambiguous {
            target: target.to_owned(),
            names: places.iter().map(|place| entries[*place].name().to_owned()).collect(),
        }),
    }
}

/// All of them in the same order, or what is wrong with all those that cannot be undone.
pub fn undoable<'m>(chosen: &[&Entry<'m>]) -> Result<Vec<&'m Migration>, RollbackError> {
    let mut migrations = Vec::with_capacity(chosen.len());
    let (mut missing, mut partial, mut no_down) = (Vec::new(), Vec::new(), Vec::new());
    for entry in chosen {
        let Some(migration) = entry.local else {
            missing.push(entry.name().to_owned());
            continue;
        };
        // One that is rolled back half-way goes on.
        let undoable = |row: &Applied| matches!(row.progress, Progress::Whole | Progress::Reverting { .. });
        match entry.state {
            State::Applied | State::Changed | State::Partial
                if entry.applied.as_ref().is_some_and(undoable) => {}
            State::Applied
            | State::Changed
            | State::Partial
            | State::Failed
            | State::Missing
            | State::Pending
            | State::OutOfOrder => partial.push(entry.name().to_owned()),
        }
        if migration.reverted_by().is_none() {
            no_down.push(migration.up.path.clone());
        }
        migrations.push(migration);
    }
    if !missing.is_empty() {
        return Err(RollbackError::Missing(missing));
    }
    if !partial.is_empty() {
        return Err(RollbackError::Partial(partial));
    }
    if !no_down.is_empty() {
        return Err(RollbackError::NoDown(no_down));
    }
    Ok(migrations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyedBy, reconcile, test_support::migration};

    /// Files as `1_a`, with `-` where there is no down part, and `0` where there is no statement either.
    fn local(text: &str) -> Migration {
        let mut local = migration(text.trim_end_matches(['-', '0']));
        if text.ends_with(['-', '0']) {
            local.down = None;
        }
        if text.ends_with('0') {
            local.up.sql = "-- users\n".to_owned();
        }
        local
    }

    /// Rows as `1_a`, with `*` where the file has changed, `!` failed, `%` partial, `<` half rolled back.
    fn row(text: &str) -> Applied {
        let recorded = migration(text.trim_end_matches(['*', '!', '%', '<']));
        Applied {
            version: recorded.version,
            checksum: (!text.ends_with('*')).then(|| recorded.checksum.clone()),
            name: recorded.name,
            at: None,
            elapsed: None,
            progress: match text.chars().last() {
                Some('!') => Progress::Failed,
                Some('%') => Progress::Partial { done: 0, started: true, digest: None },
                Some('<') => Progress::Reverting { done: 1, started: false, digest: None },
                _ => Progress::Whole,
            },
            tool_row: None,
        }
    }

    fn check(files: &str, applied: &str, back: Back) -> Result<Vec<String>, String> {
        let local: Vec<_> = files.split_whitespace().map(local).collect();
        let applied: Vec<_> = applied.split_whitespace().map(row).collect();
        let reconciled = reconcile(&local, &applied, KeyedBy::Name);
        match rollback_order(&reconciled, &back) {
            Ok(order) => Ok(order.into_iter().map(|migration| migration.name.clone()).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_last_applied_come_first() {
        let to = |text: &str| Back::To(text.to_owned());
        let only = |text: &str| Back::Only(text.to_owned());
        let cases: [(&str, &str, Back, &[&str]); 20] = [
            ("1_a 2_b 3_c", "1_a 2_b", Back::Count(1), &["2_b"]),
            ("1_a 2_b 3_c", "1_a 2_b", Back::Count(2), &["2_b", "1_a"]),
            ("1_a 2_b 3_c", "1_a 2_b", Back::Count(9), &["2_b", "1_a"]),
            ("1_a 2_b 3_c", "1_a 2_b", Back::Count(0), &[]),
            ("1_a", "", Back::Count(1), &[]),
            ("1_a 2_b 3_c", "1_a 3_c", Back::All, &["3_c", "1_a"]),
            ("1_a 2_b", "1_a 2_b*", Back::Count(1), &["2_b"]),
            // Undone in the order of the files, however they were applied.
            ("1_a 2_b 3_c", "3_c 2_b 1_a", Back::All, &["3_c", "2_b", "1_a"]),
            ("1_a 2_b 3_c", "1_a 2_b 3_c", to("1"), &["3_c", "2_b"]),
            ("1_a 2_b 3_c", "1_a 2_b 3_c", to("2_b"), &["3_c"]),
            ("1_a 2_b 3_c", "1_a 2_b 3_c", to("2_b.sql"), &["3_c"]),
            ("1_a 2_b 3_c", "1_a 2_b 3_c", to("3"), &[]),
            ("1_a 2_b 2_c 3_d", "1_a 2_b 2_c 3_d", to("2"), &["3_d"]),
            ("2_b", "1_x 2_b", to("1"), &["2_b"]),
            ("1_a 2_b 3_c", "1_a 2_b", only("2"), &["2_b"]),
            ("1_a- 2_b", "1_a 2_b", Back::Count(1), &["2_b"]),
            ("1_a 2_b", "9_x! 1_a 2_b", Back::Count(2), &["2_b", "1_a"]),
            ("1_a 2_b", "1_a 2_b<", Back::Count(1), &["2_b"]),
            ("1_a- 2_b0", "1_a 2_b", Back::Count(1), &["2_b"]),
            // What is gone and stays recorded is in nobody's way.
            ("1_a 3_c", "1_a 2_x 3_c", Back::Count(1), &["3_c"]),
        ];
        for (files, applied, back, expected) in cases {
            let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(check(files, applied, back.clone()), Ok(expected), "{files} / {applied} / {back:?}");
        }
    }

    #[test]
    fn what_cannot_be_undone_is_told_before_anything_runs() {
        let to = |text: &str| Back::To(text.to_owned());
        let only = |text: &str| Back::Only(text.to_owned());
        let cases = [
            ("1_a", "1_a", to("9"), "there is no migration `9`"),
            ("1_a", "1_a", only("9"), "there is no migration `9`"),
            ("1_a 2_b", "2_b", to("1"), "migration 1_a is not applied"),
            ("1_a 2_b", "1_a", only("2_b"), "migration 2_b is not applied"),
            (
                "1_a 2_b 3_c",
                "1_a 2_b 3_c",
                only("1"),
                "migration 1_a cannot be rolled back alone, since later ones are applied: 3_c, 2_b",
            ),
            (
                "1_a",
                "1_a 2_x",
                only("1"),
                "migration 1_a cannot be rolled back alone, since later ones are applied: 2_x",
            ),
            ("1_a 1_b", "1_a 1_b", only("1"), "`1` could be any of 1_a, 1_b"),
            ("1_a", "1_a 2_x 3_y", Back::All, "applied migrations are missing on disk: 3_y, 2_x"),
            ("1_a", "1_a 2_x", Back::Count(1), "applied migrations are missing on disk: 2_x"),
            ("1_a 2_b", "1_a! 2_b%", Back::All, "migrations are applied only in part: 2_b, 1_a"),
            ("1_a- 2_b 3_c-", "1_a 2_b 3_c", Back::All, "no down part in m/3_c.sql, m/1_a.sql"),
        ];
        for (files, applied, back, message) in cases {
            assert_eq!(check(files, applied, back.clone()), Err(message.to_owned()), "{back:?}");
        }
    }
}
