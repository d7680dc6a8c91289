//! What the application keeps: pages and what they are about, in a SQLite database that it makes and migrates itself.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use dbctl::{Migrations, Migrator, Report, Status, migrations, status};
use rusqlite::Connection;

/// The folder that `dbctl` runs, too: its path in the manifest is its name in dbctl's history.
pub static MIGRATIONS: Migrations = migrations!(
    "../../tests/workspaces/decant/migrations",
    name = "migrations",
    format = "custom",
    table = "_migrations"
);

/// A page.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// Its title.
    pub title: String,
    /// Where it is.
    pub url: String,
}

/// The database of the application.
pub struct Database {
    connection: Connection,
}

/// Makes the database where there is none, and applies what is pending; says which migrations that were. However many
/// instances start at once, each is applied once.
pub async fn initialize_database(file: &Path) -> Result<(Database, Report), Box<dyn Error>> {
    let report = Migrator::new(&url(file), &MIGRATIONS).create().migrate().await?;
    Ok((Database::open(file)?, report))
}

/// What is applied and what is pending.
pub async fn migration_status(file: &Path) -> Result<Status, dbctl::Error> {
    status(&url(file), &MIGRATIONS).await
}

/// Where the database is unless somebody says otherwise.
pub fn default_file() -> PathBuf {
    std::env::var_os("DECANT_DB").map_or_else(|| PathBuf::from("data/decant.db"), PathBuf::from)
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

impl Database {
    /// As every connection of the application is opened: foreign keys hold, and readers do not wait for writers.
    pub fn open(file: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(Self { connection })
    }

    /// Keeps a page and what it is about.
    pub fn add(&mut self, node: &Node, concepts: &[&str]) -> rusqlite::Result<()> {
        let domain = node.url.split('/').nth(2).unwrap_or_default();
        let tx = self.connection.transaction()?;
        let id: String = tx.query_row(
            "INSERT INTO nodes (title, url, source_domain) VALUES (?1, ?2, ?3) RETURNING id",
            (&node.title, &node.url, domain),
            |row| row.get(0),
        )?;
        for concept in concepts {
            tx.execute("INSERT INTO key_concepts (node_id, concept) VALUES (?1, ?2)", (&id, concept))?;
        }
        tx.commit()
    }

    /// The pages in whose title or description these words are.
    pub fn search(&self, words: &str) -> rusqlite::Result<Vec<Node>> {
        let mut statement = self.connection.prepare(
            "SELECT nodes.title, nodes.url FROM nodes_fts JOIN nodes ON nodes.rowid = nodes_fts.rowid \
             WHERE nodes_fts MATCH ?1 AND NOT nodes.is_deleted ORDER BY rank, nodes.title",
        )?;
        let nodes = statement.query_map([words], |row| Ok(Node { title: row.get(0)?, url: row.get(1)? }))?;
        nodes.collect()
    }
}
