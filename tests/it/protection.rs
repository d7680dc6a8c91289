//! Everything that destroys, in every environment, with and without a terminal, with every flag that lets it.

use std::{
    fmt,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    held::hold,
    own_server::OwnServer,
    process::{Running, signal, until},
    support::{Ran, Sandbox, binary},
};

const MANIFEST: &str = "workspace: w
servers: { main: { url: '${SERVER}' } }
databases:
  a: { migrations: [{ path: m, format: native }] }
environments: { development: {}, staging: {}, production: { protected: true } }
";

const FILES: [(&str, &str); 5] = [
    ("m/20260101000000_one.sql", "create table one (n int);\n"),
    ("m/20260101000000_one.down.sql", "drop table one;\n"),
    ("m/20260102000000_two.sql", "create table two (n int);\n"),
    ("m/20260102000000_two.down.sql", "drop table two;\n"),
    ("m/20260103000000_three.sql", "create table three (n int);\n"),
];

/// One that can destroy, how its database comes about, and what it makes of `STATE`.
struct Verb {
    args: &'static [&'static str],
    /// Run on a database with the first two migrations and a row in each table.
    prepare: &'static str,
    becomes: &'static str,
}

/// The rows, and what is recorded.
const STATE: &str = "select coalesce((xpath('/row/c/text()', query_to_xml('select count(*) as c from one', false, true, '')))[1]::text, '-'), \
     case when to_regclass('two') is null then '-' else (xpath('/row/c/text()', query_to_xml('select count(*) as c from two', false, true, '')))[1]::text end, \
     (select string_agg(substr(name, 16), ' ' order by version) from dbctl.migration_history where statement_started is not true), \
     (select count(*) from dbctl.migration_history where checksum = 'sha256:0')";

const BEFORE: &str = "1|1|one two|0\n";

const VERBS: [Verb; 11] = [
    Verb { args: &["clean", "a"], prepare: "", becomes: "0|0|one two|0\n" },
    Verb { args: &["drop", "a"], prepare: "", becomes: "no database" },
    Verb { args: &["reset", "a"], prepare: "", becomes: "0|0|one two three|0\n" },
    Verb { args: &["rollback", "a"], prepare: "", becomes: "1|-|one|0\n" },
    Verb { args: &["rollback", "a", "--to", "zero"], prepare: "", becomes: "none" },
    Verb { args: &["redo", "a"], prepare: "", becomes: "1|0|one two|0\n" },
    Verb { args: &["migrate", "a", "--fake"], prepare: "", becomes: "1|1|one two three|0\n" },
    Verb {
        args: &["history", "mark", "a", "20260102000000", "--pending"],
        prepare: "",
        becomes: "1|1|one|0\n",
    },
    Verb {
        args: &["history", "mark", "a", "20260103000000", "--applied"],
        prepare: "",
        becomes: "1|1|one two three|0\n",
    },
    Verb {
        args: &["history", "repair", "a"],
        prepare: "update dbctl.migration_history set checksum = 'sha256:0' where name like '%two'",
        becomes: BEFORE,
    },
    Verb {
        args: &["baseline", "a", "--through", "20260102000000"],
        prepare: "delete from dbctl.migration_history",
        becomes: BEFORE,
    },
];

/// Who could be asked, and what he says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Terminal {
    None,
    No,
    Yes,
}

/// What is given.
#[derive(Debug, Clone, Copy)]
struct Flags {
    yes: bool,
    allow: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    recorded: &'static str,
    selected: &'static str,
    terminal: Terminal,
    flags: Flags,
}

/// What is to come of it: the exit code, words that are said, and whether it is done.
fn expected(case: Case) -> (i32, &'static str, bool) {
    let Case { recorded, selected, terminal, flags } = case;
    if selected == "production" && flags.allow != Some("production") {
        return (2, "add --allow-protected production", false);
    }
    if !flags.yes && terminal == Terminal::None {
        return (2, "add --yes", false);
    }
    if recorded != selected {
        return (1, recorded, false);
    }
    match (flags.yes, terminal) {
        (true, _) => (0, "", true),
        (false, Terminal::Yes) => (0, "in the environment", true),
        (false, Terminal::No | Terminal::None) => (2, "in the environment", false),
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (recorded, selected) in [
        ("development", "development"),
        ("production", "production"),
        ("production", "development"),
        ("development", "production"),
        ("staging", "development"),
    ] {
        for yes in [false, true] {
            for allow in [None, Some("production"), Some("development")] {
                // A name is asked for in production alone.
                if allow.is_some() && selected != "production" {
                    continue;
                }
                // Whoever says yes beforehand is not asked, whatever he would answer.
                for terminal in if yes {
                    &[Terminal::None, Terminal::No][..]
                } else {
                    &[Terminal::None, Terminal::No, Terminal::Yes]
                } {
                    // A terminal changes nothing about what is refused before anybody is asked.
                    let refused =
                        allow != Some("production") && selected == "production" || recorded == "staging";
                    if refused && *terminal != Terminal::None {
                        continue;
                    }
                    cases.push(Case { recorded, selected, terminal: *terminal, flags: Flags { yes, allow } });
                }
            }
        }
    }
    cases
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A command with a terminal of its own.
fn terminal(command: &Command) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--echo", "never", "--command", &line.join(" "), "/dev/null"]);
    script.env_clear().current_dir(command.get_current_dir().unwrap());
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    script
}

/// A command with a terminal of its own, on which somebody answers.
fn on_terminal(command: &Command, answer: &str) -> Ran {
    let mut child = terminal(command).spawn().expect("util-linux has `script`");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), answer.as_bytes()).unwrap();
    // Its input stays open: its end would be that of the terminal.
    let stdin = child.stdin.take();
    until("the command ends", || child.try_wait().unwrap().is_some());
    drop(stdin);
    let mut ran = Ran::of(child.wait_with_output().unwrap());
    // A terminal has one stream.
    ran.stderr = std::mem::take(&mut ran.stdout);
    ran
}

#[test]
fn whoever_is_asked_may_close_the_terminal() {
    let sandbox = Sandbox::new("workspace: w\ndatabases: { a: {} }\n", &[]);
    sandbox.ok(&["create", "a"]);
    let mut command = sandbox.command(binary());
    command.args(["drop", "a"]);
    for terminated in [false, true] {
        let mut child = terminal(&command).spawn().expect("util-linux has `script`");
        let mut shown = String::new();
        let mut output = child.stdout.take().unwrap();
        while !shown.contains("Go on?") {
            let mut chunk = [0; 1024];
            let read = std::io::Read::read(&mut output, &mut chunk).unwrap();
            assert!(read > 0, "{shown}");
            shown += &String::from_utf8_lossy(&chunk[..read]);
        }
        // It may have been started by a shell.
        let of = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let mut asking = child.id();
        while let Some(started) = of(asking).split_whitespace().next() {
            asking = started.parse().unwrap();
        }
        if terminated {
            signal(&asking.to_string(), "TERM");
        } else {
            child.kill().unwrap();
        }
        until("the question is withdrawn", || {
            // One that has ended may wait for somebody to ask how.
            let status = std::fs::read_to_string(format!("/proc/{asking}/stat")).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        });
        let _ = child.kill();
        child.wait().unwrap();
        sandbox.ok(&["status", "a"]);
        assert_eq!(sandbox.query("a", "select 1"), "1\n");
    }
}

/// Stopping a server destroys nothing but what others are about to do.
#[test]
fn whoever_is_at_work_on_a_server_is_named_before_it_is_stopped() {
    let sandbox = Sandbox::new(
        "workspace: w\ndatabases: { a: { migrations: [{ path: m, format: native }] } }\n",
        &[("m/20260101000000_slow.sql", "select pg_sleep(3600);\n")],
    );
    let first = sandbox.dbctl(&["status", "a"]);
    assert!(first.stderr.contains("started a private PostgreSQL"), "{first}");
    let second = sandbox.dbctl(&["status", "a"]);
    assert_eq!(second.stderr, "", "{second}");
    sandbox.ok(&["create", "a"]);
    let run = Running::start(sandbox.command(binary()).args(["migrate", "a"]));
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    until("the migration runs", || sandbox.query("a", asleep) == "1\n");
    let told = |ran: &Ran| {
        for words in ["ends these sessions", "dbctl migrate ", ", in a", "pid "] {
            assert!(ran.stderr.contains(words), "{words:?}: {ran}");
        }
    };
    let refused = sandbox.dbctl(&["server", "stop"]);
    told(&refused);
    assert_eq!(refused.code, 2, "{refused}");
    let mut command = sandbox.command(binary());
    command.args(["server", "stop"]);
    let declined = on_terminal(&command, "n\r");
    told(&declined);
    assert_eq!(sandbox.query("a", asleep), "1\n");
    told(&on_terminal(&command, "y\r"));
    let ran = run.wait(Duration::from_secs(60));
    assert_eq!(ran.code, 1, "{ran}");
    // Who is connected and does nothing is in nobody's way, and `--yes` says it all.
    let idle = hold(&sandbox.url("a"), "select 1");
    assert_eq!(sandbox.ok(&["server", "stop"]).matches("stopped").count(), 1);
    assert!(idle.was_ended());
    let busy = hold(&sandbox.url("a"), "begin; select 1");
    sandbox.dbctl(&["server", "stop"]).fails(2);
    sandbox.ok(&["server", "stop", "--yes"]);
    assert!(busy.was_ended());
}

#[test]
fn nothing_is_destroyed_by_accident() {
    let server = OwnServer::start();
    let mut sandbox = Sandbox::new(MANIFEST, &FILES);
    sandbox.set("SERVER", &server.url("postgres"));
    // A database per environment and way to prepare it, to be copied for each case.
    for recorded in ["development", "staging", "production"] {
        sandbox.ok(&["create", "a", "--env", recorded]);
        sandbox.ok(&["migrate", "a", "--to", "20260102000000", "--env", recorded]);
        server.query("a", "insert into one values (7); insert into two values (7)");
        for (n, verb) in VERBS.iter().enumerate() {
            server.query("postgres", &format!("create database made_{recorded}_{n} template a"));
            if !verb.prepare.is_empty() {
                server.query(&format!("made_{recorded}_{n}"), verb.prepare);
            }
        }
        server.query("postgres", "drop database a");
    }
    let state =
        || match server.query("postgres", "select count(*) from pg_database where datname = 'a'").as_str() {
            "0\n" => "no database".to_owned(),
            _ if server.query("a", "select to_regclass('one') is null") == "t\n" => "none".to_owned(),
            _ => server.query("a", STATE),
        };
    let (mut done, mut tried) = (0, 0);
    for (n, verb) in VERBS.iter().enumerate() {
        let (mut made, mut before) = ("", String::new());
        for case in cases() {
            if made != case.recorded {
                server.query("postgres", "drop database if exists a");
                server.query("postgres", &format!("create database a template made_{}_{n}", case.recorded));
                made = case.recorded;
                before = state();
                assert_ne!(before, verb.becomes);
            }
            let mut command = sandbox.command(binary());
            command.args(verb.args).args(["--env", case.selected]);
            command.args(case.flags.yes.then_some("--yes"));
            command.args(case.flags.allow.into_iter().flat_map(|name| ["--allow-protected", name]));
            let ran = match case.terminal {
                Terminal::None => Ran::of(command.output().unwrap()),
                Terminal::No => on_terminal(&command, "n\r"),
                Terminal::Yes => on_terminal(&command, "y\r"),
            };
            let (code, words, does) = expected(case);
            let what = format!("{:?}, {case}: {ran}", verb.args);
            assert_eq!(ran.code, code, "{what}");
            assert!(ran.stderr.contains(words), "{words:?} is missing: {what}");
            let after = state();
            assert_eq!(after, if does { verb.becomes.to_owned() } else { before.clone() }, "{what}");
            if does {
                (made, done) = ("", done + 1);
            }
            tried += 1;
        }
        server.query("postgres", "drop database if exists a");
    }
    assert_eq!((done, tried), (VERBS.len() * 6, VERBS.len() * cases().len()));
}
