//! `dbctl baseline`: a database that exists is taken over.

use dbctl_runner::{Action, Adopt, Request, Through};

use super::new::source;
use crate::{
    cli::{Baseline, Global},
    console::Console,
    context::Context,
    error::CliError,
    exit::Done,
    run::carry_out,
};

/// What stands for the last migration there is.
const LATEST: &str = "latest";

pub(super) async fn run(
    args: &Baseline,
    global: &Global,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    carry_out(&request(args, global, context)?, global, context, console).await
}

fn request(args: &Baseline, global: &Global, context: &Context) -> Result<Request, CliError> {
    let key = context.select_one(Some(&args.target))?;
    let database = context.workspace.database(&key);
    let named = args.source.as_deref().map(|path| source(database, Some(path))).transpose()?;
    let adopt = Adopt {
        through: match args.through.as_str() {
            LATEST => Through::Latest,
            version => Through::Version(version.to_owned()),
        },
        source: named.map(|source| source.name.clone()),
        dry_run: args.dry_run,
    };
    Ok(super::history::of_one("baseline", Action::Baseline(adopt), key, global, context))
}
