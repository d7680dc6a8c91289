//! The name of a run.

use dbctl_migration::RunStamp;

/// A new run's id, and dbctl's version.
///
/// The id has twenty characters: the milliseconds of a version 7 UUID, so that ids sort by time, and 32 of its random
/// bits. `application_name` holds 63 bytes, with the verb.
pub fn stamp() -> RunStamp {
    let id = uuid::Uuid::now_v7().simple().to_string();
    RunStamp {
        run: format!("{}{}", &id[..12], &id[24..]),
        dbctl_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_short_and_sort_by_time() {
        let first = stamp().run;
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = stamp().run;
        assert!(first < second, "{first} {second}");
        assert_eq!(first.len(), 20);
    }
}
