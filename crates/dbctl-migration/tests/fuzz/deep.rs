//! What is deep, long or many: nothing overflows the stack, and time and memory grow with the text, not with its square.

use dbctl_migration::{
    Directives, FormatKind,
    split::{SplitError, refuses_transaction, split},
};

use crate::files::{Files, least, write};

/// So deep that anything recursive overflows the stack of a test's thread.
const DEEP: usize = 5_000;
/// So many that what is quadratic in them takes minutes.
const MANY: usize = 100_000;

/// How many statements a script has, or what is wrong with it.
fn count(sql: &str) -> Result<usize, String> {
    let _ = Directives::parse(sql);
    refuses_transaction(sql);
    split(sql).map(|pieces| pieces.len()).map_err(|error| match error {
        SplitError::MetaCommand { command, .. } | SplitError::DotCommand { command, .. } => command,
        SplitError::Unterminated { what, .. } => what.to_owned(),
        SplitError::UnterminatedCopy { .. } => "copy".to_owned(),
    })
}

#[test]
fn deep_scripts() {
    let (open, close) = ("(".repeat(DEEP), ")".repeat(DEEP));
    let cases = [
        (format!("select {open}1{close}; select 2"), Ok(2)),
        (format!("select {open}; select 2"), Ok(1)),
        (format!("select {close}; select 2"), Ok(2)),
        (format!("{}select 1{}; select 2", "/*".repeat(DEEP), "*/".repeat(DEEP)), Ok(1)),
        ("/*".repeat(DEEP), Err("comment".to_owned())),
        ("$a$ $b$ $a$ ".repeat(DEEP), Ok(1)),
        (format!("create function f() begin atomic {} end", "select case when a then ".repeat(DEEP)), Ok(1)),
        (
            format!("create function f() begin atomic select {} end; end; select 2", "case ".repeat(DEEP)),
            Ok(1),
        ),
        (format!("select {}", "[".repeat(DEEP)), Ok(1)),
    ];
    for (sql, expected) in cases {
        assert_eq!(count(&sql), expected, "{}", &sql[..60]);
    }
}

#[test]
fn long_scripts() {
    let long = "a".repeat(MANY);
    let cases = [
        (format!("select '{long}'"), Ok(1)),
        (format!("select {long} -- {long}"), Ok(1)),
        (format!("-- dbctl:{long}\nselect 1"), Ok(1)),
        (format!("-- {long}: requires a@1\nselect 1"), Ok(1)),
        (format!("-- dbctl:requires {}\nselect 1", "a@1 ".repeat(MANY)), Ok(1)),
        ("-- dbctl:requires a@1\n".repeat(MANY), Ok(0)),
        ("-- dbctl requires: a@1\n".repeat(MANY), Ok(0)),
        ("select 1;".repeat(MANY), Ok(MANY)),
        (";".repeat(MANY), Ok(0)),
        ("\n".repeat(MANY), Ok(0)),
        ("\r".repeat(MANY), Ok(0)),
        ("--\r".repeat(MANY), Ok(0)),
        ("/**/".repeat(MANY), Ok(0)),
        ("/* ".repeat(MANY) + "*/", Err("comment".to_owned())),
        ("$".repeat(MANY), Ok(1)),
        ("$a".repeat(MANY), Ok(1)),
        ("$1$".repeat(MANY), Err("dollar-quoted string".to_owned())),
        ("E'a'\n".repeat(MANY), Ok(1)),
        ("E'a' \n--".repeat(MANY), Ok(1)),
        ("E'\\".repeat(MANY), Err("\\E'".to_owned())),
        ("\\restrict\n".repeat(MANY), Ok(0)),
        ("copy t from stdin;\n\\.\n".repeat(MANY), Ok(MANY)),
        ("copy t from stdin;".repeat(MANY) + "\n" + &"\\.\n".repeat(MANY), Ok(MANY)),
        ("copy t from stdin;\n".to_owned() + &"1\n".repeat(MANY), Err("copy".to_owned())),
        ("begin atomic ".repeat(MANY), Ok(1)),
    ];
    for (sql, expected) in cases {
        let shown: String = sql.chars().take(60).collect();
        assert_eq!(count(&sql), expected, "{shown}");
    }
}

/// Reads a folder of one file as every format.
fn read(name: &str, text: &str) {
    let around = [
        ("package.json", "{\"dependencies\":{\"drizzle-orm\":\"0.30\"}}"),
        ("config.toml", "project_id = 1"),
    ];
    let files: Files = around
        .into_iter()
        .chain([(name, text)])
        .map(|(name, text)| (name.as_bytes().to_vec(), text.as_bytes().to_vec()))
        .collect();
    let at = write(&files);
    for kind in FormatKind::all() {
        if let Ok(migrations) = kind.open(&at.folder, &least(kind)).read(&at.folder) {
            for migration in migrations {
                crate::folders::recorded(&*kind.open(&at.folder, &least(kind)), &migration);
            }
        }
    }
    FormatKind::detect(&at.folder.path).unwrap();
}

#[test]
fn deep_and_long_files_of_every_format() {
    let scripts = [
        format!("select {}", "(".repeat(DEEP)),
        "/*".repeat(DEEP),
        "select 1;".repeat(MANY / 10),
        ";".repeat(MANY / 10),
        "begin atomic ".repeat(MANY / 10),
        "begin atomic end".repeat(MANY / 10),
        "begin atomic /**/ end_;".repeat(MANY / 10),
        "$a".repeat(MANY / 10),
        format!("${}$ {}", "a".repeat(DEEP), format!("${} ", "a".repeat(DEEP - 1)).repeat(10)),
        "-- Up Migration\n-- Down Migration\n".repeat(MANY / 10),
        "--\n".repeat(MANY / 10),
        format!("--{}", "\n".repeat(MANY)),
        "-- migrate:up\n".repeat(MANY / 10),
        format!("-- migrate:up {}\n-- migrate:down\n", "a:b ".repeat(MANY / 10)),
        "--> statement-breakpoint\n".repeat(MANY / 10),
        "-- dbctl:requires a@1\n".repeat(MANY / 10),
        "a".repeat(MANY),
    ];
    for script in &scripts {
        for name in ["m/20260101000000_a.sql", "m/20260101000000_a/migration.sql"] {
            read(name, script);
        }
    }
    for (name, text) in [
        ("m/meta/_journal.json", "[".repeat(DEEP)),
        ("m/meta/_journal.json", "{\"entries\":".repeat(DEEP)),
        ("m/meta/_journal.json", format!("{{\"entries\":[],\"x\":{}", "[".repeat(DEEP))),
        ("m/meta/_journal.json", format!("{{\"dialect\":\"{}\",\"entries\":[]}}", "a".repeat(MANY))),
        ("m/migration_lock.toml", "provider = \"mysql\"\n".repeat(MANY / 10)),
        ("package.json", "[".repeat(DEEP)),
        ("config.toml", "project_id\n".repeat(MANY / 10)),
        ("sqlx.toml", "[migrate]\n".repeat(MANY / 10)),
        ("sqlx.toml", "\n".repeat(MANY)),
        ("sqlx.toml", "a=".repeat(MANY)),
        ("sqlx.toml", format!("[migrate]\nignored-chars = [{}]", "\"a\", ".repeat(MANY / 10))),
        ("sqlx.toml", format!("[migrate]\ntable-name = '{}'", "a.".repeat(MANY / 10))),
        ("Cargo.toml", "[dependencies]\n".repeat(MANY / 10)),
    ] {
        read(name, &text);
    }
}
