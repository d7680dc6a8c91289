//! The manifest as text, with a comment wherever somebody should look.

use std::{fmt::Write, path::Path};

use super::{FoundDatabase, FoundSource, Tool, databases::default_name};
use crate::paths::{from_to, shown};

pub(super) fn manifest(workspace: &str, databases: &[FoundDatabase], has_env: bool) -> String {
    let mut text = String::new();
    text += "# Written by `dbctl init` from what it found. What it had to guess says so.\n";
    text +=
        "# `dbctl plan up --all` shows what would happen, `dbctl status --all` where the databases stand.\n";
    let _ = writeln!(text, "workspace: {}", scalar(workspace));
    if has_env {
        text += "env_files: [.env]\n";
    }
    if databases.is_empty() {
        text += "\n# No migration folder was found. `dbctl new main NAME` writes a first migration.\n";
        text += "databases:\n  main:\n    migrations: [{ path: migrations }]\n";
        return text;
    }
    text += "\ndatabases:\n";
    for (at, database) in databases.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        write_database(&mut text, database);
    }
    text += "\nenvironments:\n  production:\n    protected: true # what destroys asks twice, and seeds are skipped\n";
    text
}

fn write_database(text: &mut String, database: &FoundDatabase) {
    let FoundDatabase { key, name, file, package, sources, seeds, depends_on, env } = database;
    // In comments stand names as people gave them, and a control character would end the line or the document.
    let mut line = |line: String| {
        text.extend(line.chars().map(|c| if is_odd(c) { char::REPLACEMENT_CHARACTER } else { c }));
        text.push('\n');
    };
    line(format!("  {}:", scalar(key)));
    match name {
        _ if file.is_some() => {}
        Some((name, var)) => {
            let by = var.as_ref().map_or_else(String::new, |var| format!(" # by {var}"));
            line(format!("    name: {}{by}", scalar(name)));
        }
        None => line(format!("    name: {} # a guess: no URL names it", scalar(&default_name(key)))),
    }
    if !package.as_os_str().is_empty() {
        line(format!("    package: {}", scalar(&shown(package))));
    }
    match file {
        Some((url, Some(var))) => line(format!("    url: \"${{{var}:-{url}}}\"")),
        Some((url, None)) => line(format!("    url: {} # a guess: no URL names the file", quoted(url))),
        None => {}
    }
    if let Some((_, Some(var))) = name {
        line(format!(
            "    url: ${{{var}:-}} # unset: PG* variables, else a private server that dbctl starts"
        ));
    }
    if !depends_on.is_empty() {
        let keys: Vec<String> = depends_on.iter().map(|(key, _)| scalar(key)).collect();
        let why: Vec<&str> = depends_on.iter().map(|(_, why)| why.as_str()).collect();
        line(format!("    depends_on: [{}] # a guess: {}", keys.join(", "), why.join("; ")));
    }
    if !env.is_empty() {
        let vars: Vec<String> = env.iter().map(|(var, key)| format!("{var}: {}", scalar(key))).collect();
        line(format!("    env: {{ {} }}", vars.join(", ")));
    }
    if !sources.is_empty() {
        line("    migrations:".to_owned());
    }
    for source in sources {
        write_source(&mut line, source, package);
    }
    if let Some(seeds) = seeds {
        line("    seeds:".to_owned());
        line(format!("      path: {}", scalar(&shown(&seeds.path))));
        line("      skip_in: [production]".to_owned());
        if !seeds.runners.is_empty() {
            let runners: Vec<String> = seeds
                .runners
                .iter()
                .map(|(extension, command)| format!("{extension}: {}", quoted(command)))
                .collect();
            line(format!("      runners: {{ {} }} # a guess", runners.join(", ")));
        }
    }
}

fn write_source(line: &mut dyn FnMut(String), source: &FoundSource, package: &Path) {
    line(format!("      - path: {}", scalar(&from_to(package, &source.folder))));
    match &source.tool {
        Tool::Known(kinds) => {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            match names.as_slice() {
                [first] => line(format!("        format: {first}")),
                [first, others @ ..] => {
                    line(format!(
                        "        format: {first} # a guess: it may also be {}",
                        others.join(" or ")
                    ));
                }
                [] => {}
            }
        }
        Tool::HomeGrown(guess) => {
            let by = guess.told_by.as_ref().map_or_else(
                || "# a guess: say which table your runner records in".to_owned(),
                |file| format!("# a guess, from {file}"),
            );
            line(format!("        format: custom {by}"));
            line(format!("        pattern: \"{{version}}{}{{name}}.sql\"", guess.separator));
            if let Some(schema) = &guess.schema {
                line(format!("        schema: {}", scalar(schema)));
            }
            line(format!("        table: {}", scalar(guess.table.as_deref().unwrap_or("migration_history"))));
            for (option, column) in
                [("name_column", &guess.name_column), ("applied_column", &guess.applied_column)]
            {
                if let Some(column) = column {
                    line(format!("        {option}: {}", scalar(column)));
                }
            }
        }
    }
}

/// A YAML scalar that reads as this text, plain where that is safe.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let is_word = ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_well && text.chars().all(plain) && !is_word { text.to_owned() } else { quoted(text) }
}

/// A YAML string in double quotes, which are those of JSON; a dollar is one, and no reference.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text.replace('$', "$$")).to_string();
    let escaped = |c: char| if is_odd(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.chars().map(escaped).collect()
}

/// Characters that YAML does not take as they are, or takes for the end of a line.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
