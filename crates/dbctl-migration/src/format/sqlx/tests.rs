use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::SourceOptions;

/// A folder in a repository whose `Cargo.toml` depends on sqlx.
struct Site(TempDir);

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        site.write("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n");
        site.write("workspace.yaml", "");
        fs::create_dir(site.0.path().join("migrations")).unwrap();
        for (name, text) in files {
            site.write(&format!("migrations/{name}"), text);
        }
        site
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn folder(&self) -> Folder {
        Folder::new(self.0.path().join("migrations"), PathBuf::from("migrations"))
    }

    fn format(&self) -> Box<dyn Format> {
        (TOOL.open)(&self.folder(), &SourceOptions::default())
    }

    fn read(&self) -> Result<Vec<Migration>, String> {
        self.format().read(&self.folder()).map_err(|errors| errors.to_string())
    }

    fn names(&self) -> Vec<String> {
        self.read()
            .unwrap()
            .into_iter()
            .map(|migration| format!("{} {}", migration.version, migration.name))
            .collect()
    }

    fn likeness(&self) -> Likeness {
        recognise(&Sample::take(&self.folder().path).unwrap())
    }
}

#[test]
fn files_are_ordered_by_their_numbers() {
    let site = Site::new(&[
        ("100_c.sql", ""),
        ("20260101000000_f.sql", ""),
        ("99_b.sql", ""),
        ("0002_a.up.sql", "select 1;"),
        ("2_other_words.down.sql", "select 2;"),
        ("120260101000000_g.sql", ""),
        ("101__odd.sql.sql", ""),
        ("102_.sql", ""),
        // What the tool ignores.
        ("README.md", ""),
        ("setup.sql", ""),
        ("103_a.SQL", ""),
        ("104_a.sql.bak", ""),
        ("105_gone.down.sql", "select 3;"),
        (".DS_Store", ""),
    ]);
    fs::create_dir(site.folder().path.join("1_folder.sql")).unwrap();
    assert_eq!(
        site.names(),
        [
            "2 0002_a",
            "99 99_b",
            "100 100_c",
            "101 101__odd",
            "102 102_",
            "20260101000000 20260101000000_f",
            "120260101000000 120260101000000_g"
        ]
    );
    let first = &site.read().unwrap()[0];
    assert_eq!(first.down.as_ref().unwrap().path, Path::new("migrations/2_other_words.down.sql"));
    assert_eq!(description("0002_add_the_users"), "add the users");
    assert_eq!(description("101__odd"), " odd");
    assert_eq!(description("102_"), "");
}

#[test]
fn what_stops_the_tool_stops_here() {
    let site = Site::new(&[
        ("1_a.sql", ""),
        ("01_b.sql", ""),
        ("2_a.down.sql", ""),
        ("2_b.down.sql", ""),
        ("data_users.sql", ""),
        ("V3_x.sql", ""),
        ("9223372036854775808_big.sql", ""),
    ]);
    let said = site.read().unwrap_err();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    assert_eq!(lines[0], "migrations/01_b.sql and migrations/1_a.sql have the same version 1");
    assert_eq!(lines[1], "migrations/2_a.down.sql and migrations/2_b.down.sql have the same version 2");
    assert!(lines[2].starts_with("migrations/9223372036854775808_big.sql: sqlx fails here"), "{said}");
    assert!(
        lines[3].starts_with("migrations/V3_x.sql: sqlx fails here, since `V3` is no whole number"),
        "{said}"
    );
    assert!(lines[4].starts_with("migrations/data_users.sql: "), "{said}");
}

#[test]
fn no_transaction_is_asked_for_by_the_first_bytes_alone() {
    let sql = "CREATE INDEX CONCURRENTLY a ON t (i);\n";
    let site = Site::new(&[
        ("1_a.up.sql", &format!("-- no-transaction\n{sql}")),
        ("1_a.down.sql", "DROP INDEX a;"),
        ("2_a.sql", &format!("-- no-transactions are used\n{sql}")),
        ("3_a.sql", &format!("\n-- no-transaction\n{sql}")),
        ("4_a.sql", &format!("\u{feff}-- no-transaction\n{sql}")),
        ("5_a.sql", &format!("-- dbctl:no-transaction\n{sql}")),
        ("6_a.sql", &format!("--no-transaction\n{sql}")),
        ("7_a.up.sql", sql),
        ("7_a.down.sql", "-- no-transaction\nDROP INDEX CONCURRENTLY a;"),
    ]);
    let (one, none) = (Transaction::One, Transaction::None);
    let read = site.read().unwrap();
    let found: Vec<_> = read.iter().map(|migration| migration.up.transaction).collect();
    assert_eq!(found, [none, none, one, one, none, one, one]);
    let downs = read.iter().filter_map(|migration| migration.down.as_ref());
    assert_eq!(downs.map(|down| down.transaction).collect::<Vec<_>>(), [one, none]);
}

/// By `sha384sum`.
#[test]
fn checksums_are_the_tools() {
    let site =
        Site::new(&[("1_empty.sql", ""), ("2_a.up.sql", "select 1;\n"), ("3_dos.sql", "select 1;\r\n")]);
    let read = site.read().unwrap();
    let recorded: Vec<_> =
        read.iter().map(|migration| migration.tool_checksum.as_ref().unwrap().recorded().as_str()).collect();
    let unix =
        "732dd6fa554ee7cf2b12caa7de486d35b60326cbb0fadccc7c537fb9750917e293550610ebffcbd185284ce99600a267";
    assert_eq!(
        recorded[0],
        "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"
    );
    assert_eq!(recorded[1], unix);
    assert_ne!(recorded[2], unix);
    for migration in &read[1..] {
        assert!(migration.has_checksum(&Checksum::recorded(unix)), "line endings are no change");
    }
    site.write("sqlx.toml", "[migrate]\nignored-chars = [\"\\r\", \" \"]\ntable-name = 'app.done'\n");
    let read = site.read().unwrap();
    assert_ne!(recorded[1], read[1].tool_checksum.as_ref().unwrap().recorded().as_str());
    assert_eq!(
        read[2].tool_checksum.as_ref().unwrap().recorded(),
        read[1].tool_checksum.as_ref().unwrap().recorded()
    );
    assert_eq!(site.format().history().unwrap().table().to_string(), r#""app"."done""#);
    site.write("sqlx.toml", "[migrate]\ntable-name = 5\n");
    let said = site.read().unwrap_err();
    assert!(said.starts_with("sqlx.toml: line 2: dbctl cannot read `migrate.table-name`"), "{said}");
}

#[test]
fn folders_of_sqlx_are_recognised_by_what_lies_around_them() {
    let names: [&[(&str, &str)]; 4] = [
        &[("20260101000000_a.sql", "")],
        &[("1_a.up.sql", ""), ("1_a.down.sql", "")],
        &[("0001_a.sql", ""), ("setup.sql", ""), ("README.md", "")],
        &[("1_a.sql", "-- Up Migration"), ("V2_misnamed.sql", "")],
    ];
    for files in names {
        assert_eq!(Site::new(files).likeness(), Likeness::Sure, "{files:?}");
        let alone = Site::new(files);
        fs::remove_file(alone.0.path().join("Cargo.toml")).unwrap();
        assert_eq!(alone.likeness(), Likeness::No, "{files:?}");
    }
    let others: [&[(&str, &str)]; 4] =
        [&[], &[("setup.sql", "")], &[("V1__a.sql", "")], &[("20260101000000_a.sql", "-- migrate:up\n")]];
    for files in others {
        assert_eq!(Site::new(files).likeness(), Likeness::No, "{files:?}");
    }
}

#[test]
fn new_files_are_named_as_the_tool_names_them() {
    let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
    for (files, expected) in [
        (&[][..], "20260131093000_Add_users.sql"),
        (&["1_a.sql"], "0002_Add_users.sql"),
        (&["7_a.sql"], "20260131093000_Add_users.sql"),
        (&["0008_a.sql", "0009_b.sql"], "0010_Add_users.sql"),
        (
            &["0008_a.up.sql", "0008_a.down.sql", "0009_b.sql"],
            "0010_Add_users.up.sql 0010_Add_users.down.sql",
        ),
        (&["1_a.sql", "2_b.up.sql", "2_b.down.sql"], "0003_Add_users.sql"),
        (&["20260101000000_a.sql", "20260102000000_b.sql"], "20260131093000_Add_users.sql"),
        (&["20260131093000_a.sql"], "20260131093001_Add_users.sql"),
    ] {
        let files: Vec<(&str, &str)> = files.iter().map(|name| (*name, "")).collect();
        let site = Site::new(&files);
        let new = site.format().new_file(&site.folder(), "Add users!", now).unwrap();
        let names: Vec<_> = new.files.iter().map(|(path, _)| path.display().to_string()).collect();
        assert_eq!(names.join(" "), expected, "{files:?}");
    }
    let site = Site::new(&[]);
    let said = site.format().new_file(&site.folder(), " / ", now).unwrap_err().to_string();
    assert!(said.contains("needs a name"), "{said}");
}
