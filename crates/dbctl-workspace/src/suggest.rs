//! "Did you mean".

/// The candidate nearest to what was typed, if any is near; of equally near ones the first.
pub(crate) fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let typed = typed.to_lowercase();
    let allowed = (typed.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&typed, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// As a hint.
pub(crate) fn did_you_mean<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(typed, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// As a hint; where nothing is near, what there is.
pub(crate) fn did_you_mean_or_list(typed: &str, what: &str, candidates: &[&str]) -> Option<String> {
    did_you_mean(typed, candidates.iter().copied())
        .or_else(|| (!candidates.is_empty()).then(|| format!("{what}: {}", candidates.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        let words = ["depends_on", "databases", "production", "core", "a"];
        for (typed, expected) in [
            ("depend_on", Some("depends_on")),
            ("prodution", Some("production")),
            ("Production", Some("production")),
            ("croe", Some("core")),
            ("b", None),
            ("hooks", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, words), expected, "{typed}");
        }
    }
}
