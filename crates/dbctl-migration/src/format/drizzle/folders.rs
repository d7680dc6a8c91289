//! The layout of 1.0: `<YYYYMMDDHHMMSS>_<name>/migration.sql`.

use std::path::Path;

use super::{MIGRATION, TIME_DIGITS, migration};
use crate::{
    Dialect, Folder, FormatError, FormatErrors, Migration, Version,
    format::{
        collate::locale_compare,
        listing::{Listed, leading_digits},
    },
};

const MS_PER_SECOND: i64 = 1_000;
const MS_PER_DAY: i64 = 86_400 * MS_PER_SECOND;

/// Every folder with a `migration.sql`, in the order of their names; all else is passed over.
pub(super) fn read(folder: &Folder, dialect: Dialect) -> Result<Vec<Migration>, FormatErrors> {
    let names = folder.names().map_err(|error| FormatErrors(vec![error]))?;
    let mut found: Vec<Listed> = names
        .into_iter()
        .filter(|listed| folder.files.exists(&folder.path.join(&listed.file_name).join(MIGRATION)))
        .collect();
    found.sort_by(|a, b| locale_compare(&a.name, &b.name));
    let mut errors = Vec::new();
    let mut migrations = Vec::with_capacity(found.len());
    for listed in found {
        match read_folder(folder, &listed, dialect) {
            Ok(migration) => migrations.push(migration),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(migrations) } else { Err(FormatErrors(errors)) }
}

fn read_folder(folder: &Folder, listed: &Listed, dialect: Dialect) -> Result<Migration, FormatError> {
    let name = &listed.name;
    if name.contains(char::REPLACEMENT_CHARACTER) {
        return Err(folder.wrong_name(listed, "the name is not UTF-8, so it cannot be recorded"));
    }
    let Some(time) = time(name) else {
        let message = "the name does not start with a time of 14 digits, without which drizzle cannot record it; \
                       `20260101120000_users` would fit";
        return Err(folder.wrong_name(listed, message));
    };
    migration(folder, &Path::new(name).join(MIGRATION), Version::new(time), name.clone(), dialect)
}

/// The time that the name of a folder starts with, as it is spelled.
pub(super) fn time(name: &str) -> Option<&str> {
    leading_digits(name).get(..TIME_DIGITS)
}

/// What the tool records of such a time, in milliseconds since 1970, as JavaScript's `Date.UTC` reckons: a month after
/// December is one of the next year, and years before 100 are in the twentieth century. `None` for what is no time.
pub(super) fn milliseconds(time: &str) -> Option<i64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let year = match number(0, 4)? {
        year @ 0..=99 => 1900 + year,
        year => year,
    };
    let months = year * 12 + number(4, 6)? - 1;
    let first = jiff::civil::Date::new(
        i16::try_from(months.div_euclid(12)).ok()?,
        i8::try_from(months.rem_euclid(12) + 1).ok()?,
        1,
    )
    .ok()?;
    let epoch = jiff::civil::Date::constant(1970, 1, 1);
    let days = i64::from(first.since(epoch).ok()?.get_days()) + number(6, 8)? - 1;
    let seconds = (number(8, 10)? * 60 + number(10, 12)?) * 60 + number(12, 14)?;
    Some(days * MS_PER_DAY + seconds * MS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By Node 20: `Date.UTC(2024, 17, 12, 14, 44, 2)` and so on.
    #[test]
    fn times_are_reckoned_as_javascript_does() {
        for (time, expected) in [
            ("19700101000000", 0),
            ("20260131093000", 1_769_851_800_000),
            ("20241812144402", 1_749_739_442_000),
            ("20240000256161", 1_701_396_121_000),
            ("00000101000000", -2_208_988_800_000),
        ] {
            assert_eq!(milliseconds(time), Some(expected), "{time}");
        }
        for none in ["", "2026", "2026013109300", "99999999999999"] {
            assert_eq!(milliseconds(none), None, "{none}");
        }
    }

    #[test]
    fn a_name_starts_with_a_time() {
        for (name, expected) in [
            ("20260131093000_a", Some("20260131093000")),
            ("20260131093000", Some("20260131093000")),
            ("202601310930001_a", Some("20260131093000")),
            ("2026013109300_a", None),
            ("0000_a", None),
            ("meta", None),
        ] {
            assert_eq!(time(name), expected, "{name}");
        }
    }
}
