//! The order in which JavaScript's `localeCompare` puts names, for tools that sort with it.

use std::cmp::Ordering;

/// ASCII punctuation and symbols as the root locale orders them, before digits and letters.
const MARKS: &str = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";

/// Compares two names as `a.localeCompare(b)` does in the root locale: marks, then digits, then letters whatever their
/// case; small letters come first where nothing else differs. Letters that are not ASCII come behind `z` by their
/// code points.
pub(super) fn locale_compare(a: &str, b: &str) -> Ordering {
    let primary = |name: &str| name.chars().map(weight).collect::<Vec<_>>();
    let cases = |name: &str| name.chars().map(|c| c.is_uppercase()).collect::<Vec<_>>();
    primary(a).cmp(&primary(b)).then_with(|| cases(a).cmp(&cases(b))).then_with(|| a.cmp(b))
}

/// Its group, and its place there.
fn weight(c: char) -> (u8, u32) {
    let lower = c.to_lowercase().next().unwrap_or(c);
    match MARKS.find(c) {
        Some(place) => (1, u32::try_from(place).unwrap_or(u32::MAX)),
        None if c.is_whitespace() => (0, u32::from(c)),
        None if c.is_ascii_digit() => (2, u32::from(c)),
        None => (3, u32::from(lower)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By Node 20: `[…].sort((a, b) => a.localeCompare(b))`.
    #[test]
    fn names_are_sorted_as_node_sorts_them() {
        let sorted = [
            "0_init",
            "1_a",
            "10_b",
            "2_c",
            "20260101_a",
            "20260101_A",
            "20260101_a_b",
            "20260101_a-b",
            "20260101_ab",
            "20260101_b",
            "20260101-a",
            "202601011_a",
            "a",
            "B",
            "c d",
            "c_d",
            "cd",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|a, b| locale_compare(a, b));
        assert_eq!(names, sorted);
    }
}
