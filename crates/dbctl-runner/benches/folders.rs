//! How much reading and reconciling migration folders costs beside reading the same bytes and doing nothing with them:
//! `cargo bench -p dbctl-runner`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports to whoever runs it")]

use std::{
    fs, hint,
    path::Path,
    time::{Duration, Instant},
};

use dbctl_migration::{Applied, Progress, State};
use dbctl_runner::read_sources;
use dbctl_workspace::{Env, LoadOptions, load};

const DATABASES: usize = 14;
const FILES: usize = 2_000;
const ROUNDS: usize = 15;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let options = LoadOptions {
        manifest: folder.path().join("workspace.yaml"),
        env: Env::default(),
        environment: Some("development".to_owned()),
    };
    let workspace = load(&options).unwrap();
    let (mut bytes, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bytes.push(timed(|| {
            for at in 0..DATABASES {
                for entry in fs::read_dir(folder.path().join(format!("m{at}"))).unwrap() {
                    hint::black_box(fs::read(entry.unwrap().path()).unwrap());
                }
            }
        }));
        whole.push(timed(|| {
            let mut applied = 0;
            for key in workspace.order() {
                for source in read_sources(workspace.database(key)).unwrap() {
                    let rows: Vec<Applied> = source.migrations.iter().map(row).collect();
                    applied += source.reconcile(&rows).count(State::Applied);
                }
            }
            assert_eq!(applied, FILES);
        }));
    }
    let (bytes, whole) = (median(bytes), median(whole));
    println!("{FILES} files of {DATABASES} databases, median of {ROUNDS} rounds");
    println!("reading their bytes        {bytes:.1?}");
    println!("reading and reconciling    {whole:.1?}");
    println!("ratio                      {:.2}", whole.as_secs_f64() / bytes.as_secs_f64());
}

fn row(migration: &dbctl_migration::Migration) -> Applied {
    Applied {
        version: migration.version.clone(),
        name: migration.name.clone(),
        checksum: Some(migration.checksum.clone()),
        at: None,
        elapsed: None,
        progress: Progress::Whole,
        tool_row: None,
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Databases whose folders have migrations of a common size: a table, an index, a function, a comment.
fn write(root: &Path) {
    let mut manifest = "workspace: bench\ndatabases:\n".to_owned();
    for at in 0..DATABASES {
        manifest += &format!("  d{at}: {{ migrations: [{{ path: m{at}, format: native }}] }}\n");
        fs::create_dir(root.join(format!("m{at}"))).unwrap();
    }
    fs::write(root.join("workspace.yaml"), manifest).unwrap();
    for number in 0..FILES {
        let sql = format!(
            "-- What it is for.\nCREATE TABLE t{number} (\n{}  id bigint PRIMARY KEY\n);\n\
             CREATE INDEX t{number}_idx ON t{number} (column_1);\n\
             CREATE FUNCTION f{number}() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2; $$;\n",
            (0..20)
                .map(|column| format!("  column_{column} text NOT NULL DEFAULT 'x;y',\n"))
                .collect::<String>()
        );
        let name =
            format!("m{}/{}_t{number}.sql", number % DATABASES, 20_260_101_000_000_u64 + number as u64);
        fs::write(root.join(name), sql).unwrap();
    }
}
