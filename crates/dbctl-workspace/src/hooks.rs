//! Commands that run before and after what dbctl does to a database.

use std::{collections::BTreeMap, fmt};

/// When a command of the package's own runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Before a database that is missing is created.
    BeforeCreate,
    /// After it was.
    AfterCreate,
    /// Before pending migrations are applied.
    BeforeMigrate,
    /// After they were.
    AfterMigrate,
    /// Before seeds run.
    BeforeSeed,
    /// After they did.
    AfterSeed,
    /// Before tables are emptied.
    BeforeClean,
    /// After they were.
    AfterClean,
}

impl Hook {
    /// Every one, in the order in which they come.
    pub const ALL: [Self; 8] = [
        Self::BeforeCreate,
        Self::AfterCreate,
        Self::BeforeMigrate,
        Self::AfterMigrate,
        Self::BeforeSeed,
        Self::AfterSeed,
        Self::BeforeClean,
        Self::AfterClean,
    ];

    /// As the manifest spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeCreate => "before_create",
            Self::AfterCreate => "after_create",
            Self::BeforeMigrate => "before_migrate",
            Self::AfterMigrate => "after_migrate",
            Self::BeforeSeed => "before_seed",
            Self::AfterSeed => "after_seed",
            Self::BeforeClean => "before_clean",
            Self::AfterClean => "after_clean",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The commands of a database's hooks, each as its shell takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks(BTreeMap<Hook, Vec<String>>);

impl Hooks {
    pub(crate) fn new(commands: BTreeMap<Hook, Vec<String>>) -> Self {
        Self(commands)
    }

    /// The commands to run then, in order; none where the manifest has none.
    pub fn commands(&self, hook: Hook) -> &[String] {
        self.0.get(&hook).map_or(&[], Vec::as_slice)
    }
}
