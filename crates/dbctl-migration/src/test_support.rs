//! What the tests of several modules need.

use std::path::PathBuf;

use crate::{Checksum, Directives, Migration, Script, Transaction, Version};

/// A migration whose version is what stands before the first `_` of its name.
pub(crate) fn migration(name: &str) -> Migration {
    let version = name.split('_').next().unwrap_or_default();
    Migration {
        version: Version::new(version),
        name: name.to_owned(),
        up: script(&format!("m/{name}.sql")),
        down: Some(script(&format!("m/{name}.down.sql"))),
        checksum: Checksum::recorded(format!("checksum of {name}")),
        tool_checksum: None,
        directives: Directives::default(),
    }
}

fn script(path: &str) -> Script {
    Script {
        path: PathBuf::from(path),
        first_line: 1,
        sql: "select 1".to_owned(),
        transaction: Transaction::One,
    }
}
