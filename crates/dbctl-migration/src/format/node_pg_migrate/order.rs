//! The order of the files, as `comparators.ts` and `fileNameUtils.ts` make it.

use std::cmp::Ordering;

use jiff::{
    civil::{Date, Time},
    tz::TimeZone,
};

use crate::format::listing::leading_digits;

const MS_PER_SECOND: i64 = 1_000;
const MS_PER_MINUTE: i64 = 60 * MS_PER_SECOND;
const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;

/// ASCII characters that are symbols to Unicode and not punctuation, which is passed over; in the root locale's order.
const SYMBOLS: &str = "`^+<=>|~$";

/// What a file is sorted by: its number, then its name as people would sort it, then its bytes.
#[derive(Debug, Clone)]
pub(super) struct SortKey {
    number: f64,
    elements: Vec<Element>,
    name: String,
}

impl SortKey {
    /// The key of a file name, or what is wrong with the number it starts with.
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let digits = leading_digits(name);
        if digits.is_empty() {
            return Err("the name does not start with a number, so that node-pg-migrate cannot order it; \
                 `1700000000000_add-users.sql` would fit"
                .to_owned());
        }
        // The tool computes with JavaScript's numbers, in which long digit strings become equal.
        let number = if digits.len() == 17 {
            utc_milliseconds(digits).map(|ms| ms as f64)
        } else {
            digits.parse::<f64>().ok()
        };
        let Some(number) = number else {
            return Err(format!(
                "the 17 digits {digits} are no date in UTC (yyyymmddhhmmss and milliseconds)"
            ));
        };
        Ok(Self { number, elements: elements(name), name: name.to_owned() })
    }

    /// Before, after, or the same file.
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let letters = |elements: &[Element]| -> String {
            elements.iter().filter_map(|element| element.letter()).collect()
        };
        self.number
            .total_cmp(&other.number)
            .then_with(|| self.elements.cmp(&other.elements))
            // With all else equal, small letters come before capitals.
            .then_with(|| letters(&other.elements).cmp(&letters(&self.elements)))
            .then_with(|| self.name.cmp(&other.name))
    }
}

/// A part of a name that is compared at once.
///
/// Node's `localeCompare(…, { numeric: true, ignorePunctuation: true })` in the root locale, but for accents, which
/// it weighs less than what follows and which are letters of their own here, behind `z`. It only decides between
/// files of one number.
#[derive(Debug, Clone)]
enum Element {
    /// Its place in [`SYMBOLS`].
    Symbol(usize),
    /// Digits without leading zeros.
    Number(String),
    Letter {
        lower: char,
        spelled: char,
    },
}

impl Element {
    fn letter(&self) -> Option<char> {
        match self {
            Self::Letter { spelled, .. } => Some(*spelled),
            Self::Symbol(_) | Self::Number(_) => None,
        }
    }

    fn rank(&self) -> (u8, usize, String) {
        match self {
            Self::Symbol(rank) => (0, *rank, String::new()),
            Self::Number(digits) => (1, digits.len(), digits.clone()),
            Self::Letter { lower, .. } => (2, 0, lower.to_string()),
        }
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

fn elements(name: &str) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let digits = leading_digits(rest);
        if !digits.is_empty() {
            elements.push(Element::Number(digits.trim_start_matches('0').to_owned()));
            rest = &rest[digits.len()..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if let Some(rank) = SYMBOLS.find(c) {
            elements.push(Element::Symbol(rank));
        } else if !c.is_ascii_punctuation() && !c.is_whitespace() {
            let lower = c.to_lowercase().next().unwrap_or(c);
            elements.push(Element::Letter { lower, spelled: c });
        }
    }
    elements
}

/// `yyyymmddhhmmssSSS` as milliseconds since 1970, with the leniency of V8's `Date`: a 31st of February is the 2nd or
/// 3rd of March, and 24:00 is midnight.
fn utc_milliseconds(digits: &str) -> Option<i64> {
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second, ms) = (part(8, 10)?, part(10, 12)?, part(12, 14)?, part(14, 17)?);
    let in_day = hour * MS_PER_HOUR + minute * MS_PER_MINUTE + second * MS_PER_SECOND + ms;
    if !(1..=31).contains(&day) || minute > 59 || second > 59 || in_day > MS_PER_DAY {
        return None;
    }
    let first = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()?;
    let first =
        first.to_datetime(Time::midnight()).to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some(first + (day - 1) * MS_PER_DAY + in_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
        let mut keys: Vec<_> = names.iter().map(|name| (SortKey::of(name).unwrap(), *name)).collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        keys.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn numbers_come_first() {
        let expected = [
            "1_z.sql",
            "0002_b.sql",
            "10_a.sql",
            "1700000000000_b.sql",
            // 2023-11-14T22:13:20.001Z is 1700000000001.
            "20231114221320001_c.sql",
            "1700000000002_a.sql",
            "20231114221320_14-digits-are-a-number.sql",
        ];
        let mut mixed = expected;
        mixed.reverse();
        assert_eq!(sorted(&mixed), expected);
    }

    /// As `node -e` sorts them, where `node-pg-migrate` calls `localeCompare`.
    #[test]
    fn ties_are_sorted_as_by_locale_compare() {
        let expected = [
            "1_1.sql",
            "1_a+1.sql",
            "1_a$.sql",
            "1_a9.sql",
            "1_a10.sql",
            "1 ab.sql",
            "1-ab.sql",
            "1_ab.sql",
            "1_ae.sql",
            "01_a.sql",
            "1_a.sql",
            "1_az.sql",
            "1_b.sql",
            "1_B.sql",
            "1.sql",
        ];
        let mut mixed = expected;
        mixed.reverse();
        assert_eq!(sorted(&mixed), expected);
    }

    #[test]
    fn dates_are_read_as_v8_reads_them() {
        let cases = [
            ("19700101000000000", Some(0)),
            ("20231114221320123", Some(1_700_000_000_123)),
            ("20240230100000000", Some(1_709_287_200_000)),
            ("20240231240000000", Some(1_709_424_000_000)),
            ("20230229235959999", Some(1_677_715_199_999)),
            ("20240232100000000", None),
            ("20241301100000000", None),
            ("20240001000000000", None),
            ("20240100000000000", None),
            ("20241201240000001", None),
            ("20241201236000001", None),
            ("20241201230060001", None),
            ("20241201990000000", None),
        ];
        for (digits, ms) in cases {
            assert_eq!(utc_milliseconds(digits), ms, "{digits}");
        }
    }

    #[test]
    fn names_without_a_number_are_refused() {
        assert!(SortKey::of("add_users.sql").unwrap_err().contains("does not start with a number"));
        assert!(SortKey::of("20241812144402123_x.sql").unwrap_err().contains("no date in UTC"));
        assert!(SortKey::of(&format!("{}_x.sql", "9".repeat(400))).is_ok());
    }
}
