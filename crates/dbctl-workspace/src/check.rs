//! What can be said of a manifest without a single variable: names, references, contradictions, cycles.
//!
//! Every environment is looked at, whichever is chosen: a mistake in `production` must show up long before.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Key, Span, environment,
    graph::cycles,
    interpolate::is_variable,
    on_sqlite::{check_server, check_useless, is_file, server_of},
    problem::Problems,
    raw::{Database, Environment, Manifest, Server},
    suggest::{did_you_mean, did_you_mean_or_list},
    yaml::{Text, Word},
};

/// The most databases of one workspace; closures grow with its square.
const MAX_DATABASES: usize = 1_000;
/// The most environments of one workspace.
const MAX_ENVIRONMENTS: usize = 100;
/// What `env`, `exec` and seed runners set themselves.
const OWN_VARIABLES: [&str; 7] =
    ["DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE"];
/// Environments that people name in `skip_in` before they declare them.
const USUAL_ENVIRONMENTS: [&str; 2] = ["production", "staging"];

/// Checks everything that needs no variable.
pub(crate) fn check(manifest: &Manifest, problems: &mut Problems) {
    if let Some(name) = &manifest.workspace {
        key(&name.value, name.span, "the workspace's name", problems);
    }
    if let Some((word, _)) = manifest.databases.get(MAX_DATABASES) {
        problems.at(word.span, format!("a workspace has at most {MAX_DATABASES} databases"));
        return;
    }
    if let Some((word, _)) = manifest.environments.get(MAX_ENVIRONMENTS) {
        problems.at(word.span, format!("a workspace has at most {MAX_ENVIRONMENTS} environments"));
        return;
    }
    let names = Names::of(manifest);
    words(&manifest.servers, "the server's name", problems);
    words(&manifest.databases, "the key", problems);
    words(&manifest.environments, "the environment's name", problems);
    for (_, declared) in &manifest.servers {
        server(declared, None, problems);
    }
    for (word, declared) in &manifest.databases {
        database(&word.text, declared, &names, problems);
        if is_file(declared, server_of(declared, &manifest.servers)) {
            check_useless(declared, problems);
        }
    }
    for (_, declared) in &manifest.environments {
        overrides(declared, manifest, &names, problems);
    }
    report_cycles(manifest, problems);
}

/// Everything that can be referred to.
struct Names<'m> {
    keys: Known<'m>,
    servers: Known<'m>,
    environments: Vec<&'m str>,
}

/// Names in the order of the manifest, and for looking up.
struct Known<'m> {
    listed: Vec<&'m str>,
    names: BTreeSet<&'m str>,
}

impl<'m> Known<'m> {
    fn of(names: impl Iterator<Item = &'m str>) -> Self {
        let listed: Vec<&str> = names.collect();
        Self { names: listed.iter().copied().collect(), listed }
    }
}

impl<'m> Names<'m> {
    fn of(manifest: &'m Manifest) -> Self {
        Self {
            keys: Known::of(manifest.databases.iter().map(|(word, _)| &*word.text)),
            servers: Known::of(manifest.servers.iter().map(|(word, _)| &*word.text)),
            environments: environment::names(manifest),
        }
    }
}

fn key(text: &str, span: Span, what: &str, problems: &mut Problems) {
    if let Err(error) = Key::parse(text) {
        problems.at(span, format!("{what} cannot be used: {error}"));
    }
}

fn words<T>(entries: &[(Word, T)], what: &str, problems: &mut Problems) {
    for (word, _) in entries {
        key(&word.text, word.span, what, problems);
    }
}

/// Looks for contradictions within one declaration; `base` is what an environment overrides.
fn server(declared: &Server, base: Option<&Server>, problems: &mut Problems) {
    check_server(declared, problems);
    let urls =
        [("url", &declared.url), ("admin_url", &declared.admin_url), ("direct_url", &declared.direct_url)];
    if declared.embedded.is_some_and(|embedded| embedded.value) {
        for (name, url) in urls {
            if let Some(url) = url {
                problems.at(url.span, format!("`embedded` and `{name}` exclude each other")).hint(
                    "an embedded server is started by dbctl, which knows where it is; keep one of the two",
                );
            }
        }
    }
    pooler(declared.pooler.as_ref(), problems);
    if let (Some(true), Some(pooler)) = (declared.embedded.map(|embedded| embedded.value), &declared.pooler) {
        problems
            .at(pooler.span, "`embedded` and `pooler` exclude each other")
            .hint("dbctl reaches the server that it starts itself without a pooler; keep one of the two");
    }
    let Some(postgres) = &declared.postgres else { return };
    let embedded = base.map_or_else(|| declared.clone(), |base| base.clone().overridden(declared)).embedded;
    if declared.sqlite.is_none() && !embedded.is_some_and(|embedded| embedded.value) {
        problems
            .at(
                postgres.span,
                "`postgres` chooses the version of an embedded server, and this one is not embedded",
            )
            .hint("add `embedded: true`, or remove `postgres`");
    }
    if major(&postgres.value).is_none() {
        problems
            .at(postgres.span, format!("`{}` is not a major version of PostgreSQL", postgres.value))
            .hint("write the major version alone, such as \"17\"");
    }
}

/// Whether a `pooler` says that a session is had for one transaction only.
pub(crate) fn is_pooled(pooler: &Text) -> bool {
    pooler.value == POOLERS[0]
}

const POOLERS: [&str; 2] = ["transaction", "none"];

fn pooler(declared: Option<&Text>, problems: &mut Problems) {
    let Some(text) = declared.filter(|text| !POOLERS.contains(&&*text.value)) else { return };
    problems
        .at(text.span, format!("`pooler` cannot be `{}`", text.value))
        .once("pooler")
        .hint(
            "`transaction` says that the url leads to a pooler in transaction mode, and that there is no way past it; \
             `none` takes that back; poolers in session mode need nothing",
        );
}

/// A major version: two digits, as since PostgreSQL 10.
pub(crate) fn major(text: &str) -> Option<u32> {
    text.parse().ok().filter(|major| (10..100).contains(major))
}

fn database(own: &str, declared: &Database, names: &Names<'_>, problems: &mut Problems) {
    for dependency in declared.depends_on.iter().flatten() {
        if dependency.value == own {
            problems.at(dependency.span, format!("`{own}` depends on itself"));
        } else {
            known(dependency, "database", &names.keys, problems);
        }
    }
    pooler(declared.pooler.as_ref(), problems);
    if let Some(server) = &declared.server {
        known(server, "server", &names.servers, problems);
    }
    for tag in declared.tags.iter().flatten() {
        key(&tag.value, tag.span, "the tag", problems);
    }
    for (variable, reference) in declared.env.iter().flatten() {
        if !is_variable(&variable.text) {
            problems.at(variable.span, format!("`{}` is not the name of a variable", variable.text));
        } else if OWN_VARIABLES.contains(&&*variable.text) {
            problems
                .at(variable.span, format!("`{}` always belongs to the database itself", variable.text))
                .hint("choose another variable");
        }
        known(reference, "database", &names.keys, problems);
    }
    for environment in declared.seeds.iter().flat_map(|seeds| &seeds.skip_in) {
        if !USUAL_ENVIRONMENTS.contains(&&*environment.value) {
            let declared = names.environments.iter().copied();
            let undeclared = USUAL_ENVIRONMENTS.into_iter().filter(|name| !names.environments.contains(name));
            let known_here = Known::of(declared.chain(undeclared));
            known(environment, "environment", &known_here, problems);
        }
    }
}

fn known(text: &Text, what: &str, known: &Known<'_>, problems: &mut Problems) {
    if !problems.is_full() && !known.names.contains(&*text.value) {
        problems
            .at(text.span, format!("there is no {what} `{}`", text.value))
            .maybe_hint(did_you_mean_or_list(&text.value, &format!("{what}s"), &known.listed));
    }
}

fn overrides(declared: &Environment, manifest: &Manifest, names: &Names<'_>, problems: &mut Problems) {
    for (word, over) in &declared.servers {
        let base = manifest.servers.iter().find(|(base, _)| base.text == word.text);
        if base.is_none() {
            let hint = did_you_mean(&word.text, names.servers.listed.iter().copied()).unwrap_or_else(|| {
                "an environment overrides servers that are declared under `servers`; a server may be declared there without a url".to_owned()
            });
            problems.at(word.span, format!("there is no server `{}` to override", word.text)).hint(hint);
        }
        server(over, base.map(|(_, base)| base), problems);
    }
    for (word, over) in &declared.databases {
        if !names.keys.names.contains(&*word.text) {
            problems
                .at(word.span, format!("there is no database `{}` to override", word.text))
                .maybe_hint(did_you_mean_or_list(&word.text, "databases", &names.keys.listed));
        }
        database(&word.text, over, names, problems);
        let server = over.server.as_ref().and_then(|server| {
            let of = |servers: &'_ [(Word, Server)]| {
                servers.iter().find(|(word, _)| word.text == server.value).map(|(_, server)| server.clone())
            };
            match (of(&manifest.servers), of(&declared.servers)) {
                (Some(base), Some(over)) => Some(base.overridden(&over)),
                (base, over) => base.or(over),
            }
        });
        if is_file(over, server.as_ref()) {
            check_useless(over, problems);
        }
    }
}

/// What every database depends on, with the places where that is said.
type Edges<'m> = BTreeMap<Key, BTreeMap<Key, Edge<'m>>>;

#[derive(Clone, Copy)]
struct Edge<'m> {
    said: &'m Text,
    /// Whether an environment says so.
    overridden: bool,
}

fn edges<'m>(manifest: &'m Manifest, environment: Option<&'m Environment>) -> Edges<'m> {
    let keys: BTreeSet<Key> =
        manifest.databases.iter().filter_map(|(word, _)| Key::parse(&word.text).ok()).collect();
    let mut edges = Edges::new();
    for (word, base) in &manifest.databases {
        let Ok(key) = Key::parse(&word.text) else { continue };
        let over = environment.and_then(|environment| {
            environment.databases.iter().find(|(over, _)| over.text == word.text).map(|(_, over)| over)
        });
        let over = over.and_then(|over| over.depends_on.as_ref());
        let overridden = over.is_some();
        let on = over.or(base.depends_on.as_ref()).into_iter().flatten();
        let on = on.filter_map(|said| Some((Key::parse(&said.value).ok()?, Edge { said, overridden })));
        // Unknown ones and the database itself have been reported already.
        let on = on.filter(|(dependency, _)| keys.contains(dependency) && *dependency != key).collect();
        edges.insert(key, on);
    }
    edges
}

fn report_cycles(manifest: &Manifest, problems: &mut Problems) {
    let mut reported = BTreeSet::new();
    let environments =
        manifest.environments.iter().map(|(word, declared)| (Some(&*word.text), Some(declared)));
    // Others have the edges of the declaration.
    let environments = environments.filter(|(_, declared)| {
        declared.is_some_and(|declared| declared.databases.iter().any(|(_, over)| over.depends_on.is_some()))
    });
    for (name, environment) in std::iter::once((None, None)).chain(environments) {
        let edges = edges(manifest, environment);
        let plain = edges.iter().map(|(key, on)| (key.clone(), on.keys().cloned().collect())).collect();
        for cycle in cycles(&plain) {
            if !reported.insert(cycle.clone()) {
                continue;
            }
            let steps = cycle.iter().zip(cycle.iter().cycle().skip(1));
            let steps: Vec<Edge<'_>> = steps.map(|(key, next)| edges[key][next]).collect();
            let step = steps.iter().find(|step| step.overridden).unwrap_or(&steps[0]);
            let place = step.said.span;
            let drawn: Vec<&str> = cycle.iter().chain(cycle.first()).map(Key::as_str).collect();
            let drawn = drawn.join(" → ");
            let message = match name {
                None => format!("the dependencies form a cycle: {drawn}"),
                Some(name) => format!("the dependencies form a cycle in `{name}`: {drawn}"),
            };
            problems
                .at(place, message)
                .hint("a database cannot be created before itself; remove one of these dependencies");
        }
    }
}
