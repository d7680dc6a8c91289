//! `dbctl init`: a manifest for a monorepo that has none.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
};

use dbctl_workspace::{Certainty, Discovery, discover};
use serde::Serialize;

use crate::{
    cli::{Global, Init},
    console::Console,
    context::Process,
    error::CliError,
    exit::Done,
    paths::relative,
};

/// What the manifest is called unless `--manifest` says otherwise.
const MANIFEST: &str = "workspace.yaml";

#[derive(Debug, Serialize)]
struct Document<'d> {
    manifest: String,
    databases: &'d [String],
    findings: Vec<Found<'d>>,
}

#[derive(Debug, Serialize)]
struct Found<'d> {
    certainty: &'static str,
    text: &'d str,
}

pub(super) fn run(
    args: &Init,
    global: &Global,
    process: &Process,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let root = &process.cwd;
    let path = global.manifest.as_ref().map_or_else(|| root.join(MANIFEST), |path| root.join(path));
    let failed = |source| CliError::Write { path: relative(&path, root), source };
    let found = discover(root).map_err(|source| CliError::Directory { path: root.clone(), source })?;
    if args.print {
        console.out.write_all(found.manifest.as_bytes())?;
        console.out.flush()?;
        if !console.mode.quiet {
            findings(&found, &mut *console.err)?;
        }
        return Ok(Done::Well);
    }
    let mut options = OpenOptions::new();
    options.write(true);
    let opened = match args.force {
        true => options.create(true).truncate(true).open(&path),
        false => options.create_new(true).open(&path),
    };
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(CliError::usage(
                format!("{} is there already", relative(&path, root).display()),
                "`dbctl init --print` shows what would be written; `--force` writes over it",
            ));
        }
        opened => opened.map_err(failed)?,
    };
    file.write_all(found.manifest.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    show(&found, &relative(&path, root).display().to_string(), console)?;
    Ok(Done::Well)
}

fn show(found: &Discovery, manifest: &str, console: &mut Console<'_>) -> Result<(), CliError> {
    if console.mode.is_json() {
        let findings = found
            .findings
            .iter()
            .map(|finding| Found { certainty: finding.certainty.as_str(), text: &finding.text })
            .collect();
        console.json(&Document { manifest: manifest.to_owned(), databases: &found.databases, findings })?;
        return Ok(());
    }
    let databases = match found.databases.as_slice() {
        [one] => format!("one database, {one}"),
        several => format!("{} databases: {}", several.len(), several.join(", ")),
    };
    writeln!(console.out, "wrote {manifest} with {databases}")?;
    findings(found, &mut *console.out)?;
    if found.findings.iter().any(|finding| finding.certainty != Certainty::Sure) {
        writeln!(console.out, "Look at what is not sure, then try `dbctl plan up --all`.")?;
    }
    console.out.flush()?;
    Ok(())
}

/// What was found and what was passed over, a line each.
fn findings(found: &Discovery, to: &mut dyn Write) -> std::io::Result<()> {
    for finding in &found.findings {
        writeln!(to, "  {:<11}  {}", finding.certainty.as_str(), finding.text)?;
    }
    to.flush()
}
