//! The examples of docs/output.md are what dbctl prints.

use std::fs;

use serde_json::Value;

use crate::support::{Ran, Sandbox, repository};

/// A fenced block: its language and its lines.
struct Block<'d> {
    language: &'d str,
    text: String,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some(Block { language, text: String::new() }),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

/// One document, or one a line.
fn documents(text: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(text).into_iter().map(Result::unwrap).collect()
}

/// Takes out what every run and every machine has its own of.
fn settle(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), &*value) {
                    (_, Value::Null) => {}
                    ("elapsed_ms" | "port" | "pid", Value::Number(_))
                    | (
                        "run" | "applied_at" | "started_at" | "ended_at" | "made_at" | "system" | "data"
                        | "postgres" | "DATABASE_URL" | "PGPASSWORD" | "PGPORT",
                        Value::String(_),
                    ) => *value = "…".into(),
                    _ => settle(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::String(text) => {
            if let Some((folder, file)) = text.rsplit_once('/')
                && let Some(name) = file.strip_suffix("_add_prices.sql")
                && name.len() == 14
            {
                *text = format!("{folder}/NOW_add_prices.sql");
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn the_documents_are_as_documented() {
    let page = fs::read_to_string(repository().join("docs/output.md")).unwrap();
    let mut sandbox: Option<Sandbox> = None;
    let mut typed: Option<Vec<String>> = None;
    let mut compared = 0;
    for Block { language, text } in blocks(&page) {
        match language {
            "yaml" | "sql" => {
                let (first, rest) = text.split_once('\n').unwrap();
                let path = first.trim_start_matches(['#', '-', ' ']);
                match &sandbox {
                    None => sandbox = Some(Sandbox::new(rest, &[])),
                    Some(sandbox) => sandbox.write(path, rest),
                }
            }
            "console" => {
                let words = text.trim().strip_prefix("$ ").unwrap();
                let words = words.strip_prefix("dbctl ").unwrap_or(words);
                typed = Some(words.split(' ').map(str::to_owned).collect());
            }
            "json" => {
                let args = typed.take().expect("a document has its command above it");
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                let sandbox = sandbox.as_ref().unwrap();
                let ran = match args[..] {
                    ["cat", file] => Ran::of(sandbox.command("cat").arg(file).output().unwrap()),
                    _ => sandbox.dbctl(&args),
                };
                let (mut expected, mut found) = (documents(&text), documents(&ran.stdout));
                expected.iter_mut().chain(&mut found).for_each(settle);
                // The members stand in the order of the page, too.
                let show = |values: &[Value]| serde_json::to_string_pretty(values).unwrap();
                assert_eq!(show(&found), show(&expected), "dbctl {}: {ran}", args.join(" "));
                compared += 1;
            }
            other => panic!("a block of {other}"),
        }
    }
    assert!(compared >= 12, "{compared}");
}
