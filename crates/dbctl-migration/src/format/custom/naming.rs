//! Naming a new file like those that are there.

use jiff::{SignedDuration, Timestamp};

use super::{
    DOWN,
    pattern::{Parts, Pattern, compare},
};
use crate::format::{
    Folder, FormatError, NewFile,
    listing::{Listed, split_extension},
    native::snake_case,
};

/// What a version is where no file shows how they look.
const FIRST: &str = "%Y%m%d%H%M%S";

/// What numbers of seconds and of milliseconds since 1970 look like.
const SECONDS_DIGITS: usize = 10;
const MILLISECONDS_DIGITS: usize = 13;

/// How many moments after now are tried.
const MAX_STEPS: usize = 1000;

/// The next version in the style of the last one, the name in the style of its name, and a down file where others have
/// one.
pub(super) fn new_file(
    pattern: &Pattern,
    folder: &Folder,
    name: &str,
    now: Timestamp,
) -> Result<NewFile, FormatError> {
    let slug = snake_case(name);
    if slug.is_empty() {
        return Err(folder.wrong_new_name("a migration needs a name, such as `add users`"));
    }
    let names = folder.names_so_far()?;
    let is_up_pattern = pattern.as_str().ends_with(".up.sql");
    let stem_of = |listed: &Listed| {
        let (stem, extension) = split_extension(&listed.name);
        let stem = if is_up_pattern { stem } else { stem.strip_suffix(".up").unwrap_or(stem) };
        (extension == "sql" && pattern.parts(stem).is_some()).then(|| stem.to_owned())
    };
    let mut stems: Vec<String> = names.iter().filter_map(stem_of).collect();
    let version_of = |stem: &str| pattern.parts(stem).map_or("", |Parts { version, .. }| version).to_owned();
    stems.sort_by(|a, b| compare(&version_of(a), &version_of(b)).then_with(|| a.cmp(b)));
    let last = stems.last().map(String::as_str);
    let is_free = |version: &str| stems.iter().all(|stem| compare(&version_of(stem), version).is_lt());
    let version = match last {
        Some(last) => next(&version_of(last), now, &is_free),
        None => Some(now.strftime(FIRST).to_string()),
    };
    let version = version.ok_or_else(|| folder.wrong_new_name("there is no free version left"))?;
    let is_dashed = last
        .and_then(|last| pattern.parts(last))
        .is_some_and(|parts| parts.name.contains('-') && !parts.name.contains('_'));
    let slug = if is_dashed { slug.replace('_', "-") } else { slug };
    let stem = pattern.stem(&version, &slug);
    if pattern.parts(&stem).is_none_or(|parts| parts.version != version) {
        // `{version}_{name}` and a name that starts with a number.
        return Err(folder
            .wrong_new_name(format!("`{slug}` would run into the version: start the name with a letter")));
    }
    let ends = |ending: &str| names.iter().any(|listed| listed.name.ends_with(ending));
    let up = if !is_up_pattern && ends(".up.sql") { format!("{stem}.up.sql") } else { format!("{stem}.sql") };
    let bare = stem.strip_suffix(".up").filter(|_| is_up_pattern).unwrap_or(&stem);
    let down = if ends(".down.sql") {
        Some(folder.fitting(format!("{bare}.down.sql"))?)
    } else {
        let has_folder = folder.files.is_dir(&folder.path.join(DOWN));
        has_folder
            .then(|| folder.fitting(format!("{stem}.sql")))
            .transpose()?
            .map(|file| std::path::Path::new(DOWN).join(file))
    };
    let mut files = vec![(folder.fitting(up)?, format!("-- {slug}\n\n"))];
    files.extend(down.map(|file| (file, format!("-- Reverts {slug}.\n\n"))));
    Ok(NewFile { files, ..NewFile::default() })
}

/// The version after the last one: a time where that is one, else the next number.
fn next(last: &str, now: Timestamp, is_free: &dyn Fn(&str) -> bool) -> Option<String> {
    let digits: String = last.chars().filter(char::is_ascii_digit).collect();
    let is_one = digits.len() == last.len();
    if is_date(&digits)
        && let Some(version) = dated(last, digits.len(), now, is_free)
    {
        return Some(version);
    }
    if is_one && digits.len() == SECONDS_DIGITS && digits.starts_with('1') {
        let seconds = now.as_second().max(digits.parse::<i64>().ok()?.checked_add(1)?);
        return Some(seconds.to_string());
    }
    if is_one && digits.len() == MILLISECONDS_DIGITS && digits.starts_with('1') {
        let milliseconds = now.as_millisecond().max(digits.parse::<i64>().ok()?.checked_add(1)?);
        return Some(milliseconds.to_string());
    }
    let start = last.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    let (before, group) = last.split_at(start);
    let next = group.parse::<u64>().ok()?.checked_add(1)?;
    Some(format!("{before}{next:0width$}", width = group.len()))
}

/// Whether digits are a year, a month, a day and perhaps a time, as far as their number tells.
fn is_date(digits: &str) -> bool {
    let in_range = |at: std::ops::Range<usize>, range: std::ops::RangeInclusive<u32>| {
        digits.get(at).and_then(|part| part.parse().ok()).is_some_and(|number| range.contains(&number))
    };
    [8, 10, 12, 14, 17].contains(&digits.len())
        && in_range(0..4, 1990..=2199)
        && in_range(4..6, 1..=12)
        && in_range(6..8, 1..=31)
}

/// Now, cut and separated like the last version, or a moment later where that is taken; nothing where the last version
/// is far in the future. Of versions that are days, several may be one.
fn dated(last: &str, digits: usize, now: Timestamp, is_free: &dyn Fn(&str) -> bool) -> Option<String> {
    let written = |at: Timestamp| -> String {
        let written = at.strftime("%Y%m%d%H%M%S%3f").to_string();
        let mut rest = written.chars();
        last.chars().map(|c| if c.is_ascii_digit() { rest.next().unwrap_or('0') } else { c }).collect()
    };
    let step = match digits {
        17 => SignedDuration::from_millis(1),
        14 => SignedDuration::from_secs(1),
        12 => SignedDuration::from_mins(1),
        10 => SignedDuration::from_hours(1),
        _ => return Some(written(now)).filter(|version| !compare(version, last).is_lt()),
    };
    let mut at = now;
    for _ in 0..MAX_STEPS {
        let version = written(at);
        if is_free(&version) {
            return Some(version);
        }
        at = at.checked_add(step).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_go_on_in_their_own_style() {
        let now: Timestamp = "2026-01-31T09:30:05.123Z".parse().unwrap();
        for (last, expected) in [
            ("001", "002"),
            ("099", "100"),
            ("999", "1000"),
            ("7", "8"),
            ("0001", "0002"),
            ("1.2", "1.3"),
            ("1_09", "1_10"),
            ("20260123", "20260131"),
            ("2025-11-05", "2026-01-31"),
            ("2026-01-31", "2026-01-31"),
            ("20260123_1800", "20260131_0930"),
            ("20260131_0930", "20260131_0931"),
            ("20260131-093005", "20260131-093006"),
            ("20260123180000", "20260131093005"),
            ("20260123180000123", "20260131093005123"),
            ("20261301", "20261302"),
            ("1700000000", "1769851805"),
            ("1800000000", "1800000001"),
            ("1700000000000", "1769851805123"),
            ("2026", "2027"),
            ("20991231235959", "20991231235960"),
            ("2099-12-31", "2099-12-32"),
        ] {
            let is_free = |version: &str| compare(last, version).is_lt();
            assert_eq!(next(last, now, &is_free).as_deref(), Some(expected), "{last}");
        }
    }
}
