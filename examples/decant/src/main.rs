//! `decant add TITLE URL [CONCEPT…]` keeps a page, `decant search WORDS` finds it, `decant status` says which migrations
//! are applied. Whatever it is, the database is brought up to date first.

use std::{
    error::Error,
    io::{Write, stdout},
};

use decant::{Node, default_file, initialize_database, migration_status};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();
    let file = default_file();
    let (mut database, report) = initialize_database(&file).await?;
    for name in &report.migrations {
        writeln!(out, "migrated: {name}")?;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["add", title, url, ref concepts @ ..] => {
            database.add(&Node { title: title.to_owned(), url: url.to_owned() }, concepts)?;
        }
        ["search", words] => {
            for Node { title, url } in database.search(words)? {
                writeln!(out, "{title} <{url}>")?;
            }
        }
        ["status"] => {
            let status = migration_status(&file).await?;
            for migration in &status.migrations {
                let mark = if migration.state.as_str() == "applied" { "x" } else { " " };
                writeln!(out, "[{mark}] {}", migration.name)?;
            }
        }
        _ => writeln!(out, "decant add TITLE URL [CONCEPT…] | search WORDS | status")?,
    }
    Ok(())
}
