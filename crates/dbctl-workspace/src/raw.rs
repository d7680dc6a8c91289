//! The manifest as it is written: every field with its place, nothing checked beyond its type.

mod fields;

use dbctl_migration::SourceOptions;

use self::fields::{Fields, entries, list, written};
use crate::{
    Hook, Span,
    problem::Problems,
    yaml::{Kind, Node, Text, Word},
};

pub(crate) const MANIFEST: &[&str] = &["workspace", "env_files", "servers", "databases", "environments"];
pub(crate) const SERVER: &[&str] =
    &["url", "admin_url", "direct_url", "pooler", "max_connections", "embedded", "postgres", "sqlite"];
pub(crate) const DATABASE: &[&str] = &[
    "name",
    "package",
    "depends_on",
    "tags",
    "server",
    "url",
    "admin_url",
    "direct_url",
    "pooler",
    "owner",
    "migrations",
    "seeds",
    "extensions",
    "settings",
    "clean",
    "hooks",
    "env",
];
pub(crate) const SOURCE: &[&str] =
    &["path", "format", "baseline", "schema", "table", "pattern", "name_column", "applied_column", "records"];
pub(crate) const BASELINE: &[&str] = &["file", "through"];
pub(crate) const SEEDS: &[&str] = &["path", "skip_in", "runners"];
pub(crate) const CLEAN: &[&str] = &["keep"];
pub(crate) const HOOKS: &[&str] = &{
    let (mut names, mut at) = ([""; Hook::ALL.len()], 0);
    while at < names.len() {
        names[at] = Hook::ALL[at].as_str();
        at += 1;
    }
    names
};
pub(crate) const ENVIRONMENT: &[&str] = &["protected", "servers", "databases"];

/// A value that is not text, and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

#[derive(Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) workspace: Option<Text>,
    pub(crate) env_files: Option<Vec<Text>>,
    pub(crate) servers: Vec<(Word, Server)>,
    pub(crate) databases: Vec<(Word, Database)>,
    pub(crate) environments: Vec<(Word, Environment)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    pub(crate) url: Option<Text>,
    pub(crate) admin_url: Option<Text>,
    pub(crate) direct_url: Option<Text>,
    pub(crate) pooler: Option<Text>,
    pub(crate) max_connections: Option<At<usize>>,
    pub(crate) embedded: Option<At<bool>>,
    pub(crate) postgres: Option<Text>,
    pub(crate) sqlite: Option<Text>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Database {
    pub(crate) name: Option<Text>,
    pub(crate) package: Option<Text>,
    pub(crate) depends_on: Option<Vec<Text>>,
    pub(crate) tags: Option<Vec<Text>>,
    pub(crate) server: Option<Text>,
    pub(crate) url: Option<Text>,
    pub(crate) admin_url: Option<Text>,
    pub(crate) direct_url: Option<Text>,
    pub(crate) pooler: Option<Text>,
    pub(crate) owner: Option<Text>,
    pub(crate) migrations: Option<Vec<Source>>,
    pub(crate) seeds: Option<Seeds>,
    pub(crate) extensions: Option<Vec<Text>>,
    pub(crate) settings: Option<Vec<(Word, Text)>>,
    pub(crate) keep: Option<Vec<Text>>,
    pub(crate) hooks: Option<Vec<(Hook, Vec<Text>)>>,
    pub(crate) env: Option<Vec<(Word, Text)>>,
    /// Whether an environment gave the `url`, so that the `server` of the declaration has no part in it.
    pub(crate) is_apart: bool,
    /// Whether an environment says where it is, so that what the declaration says may be meant for another place.
    pub(crate) is_moved: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: Text,
    pub(crate) format: Option<Text>,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) options: Vec<SourceOption>,
}

#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    pub(crate) file: Text,
    pub(crate) through: Text,
}

/// One of [`SourceOptions`].
#[derive(Debug, Clone)]
pub(crate) struct SourceOption {
    pub(crate) name: &'static str,
    /// Where its key stands.
    pub(crate) key: Span,
    pub(crate) value: Text,
}

#[derive(Debug, Clone)]
pub(crate) struct Seeds {
    pub(crate) path: Text,
    pub(crate) skip_in: Vec<Text>,
    pub(crate) runners: Vec<(Word, Text)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pub(crate) protected: bool,
    pub(crate) servers: Vec<(Word, Server)>,
    pub(crate) databases: Vec<(Word, Database)>,
}

/// Reads the tree; what is wrong with one field never hides what is wrong with another.
pub(crate) fn read(tree: &Node, problems: &mut Problems) -> Manifest {
    if tree.kind == Kind::Null {
        problems
            .at(Span::default(), "the manifest is empty")
            .hint("it needs at least a name and a database: `workspace: shop` and `databases: { core: {} }`");
        return Manifest::default();
    }
    let Some(mut fields) = Fields::of(tree, String::new(), MANIFEST, problems) else {
        return Manifest::default();
    };
    let manifest = Manifest {
        workspace: fields.text("workspace", problems),
        env_files: fields.texts("env_files", problems),
        servers: named(&mut fields, "servers", problems, server),
        databases: named(&mut fields, "databases", problems, database),
        environments: named(&mut fields, "environments", problems, environment),
    };
    if manifest.workspace.is_none() && !fields.is_given("workspace") {
        problems
            .at(Span::default(), "`workspace` is missing")
            .hint("give the workspace a name, such as `workspace: atriz`");
    }
    if manifest.databases.is_empty() && !fields.is_wrong("databases") {
        let span = fields.key("databases").unwrap_or_default();
        problems
            .at(span, "the manifest declares no databases")
            .hint("list them under `databases`, such as `databases: { core: {} }`");
    }
    manifest
}

/// A mapping of names to things of one kind.
fn named<T: Default>(
    fields: &mut Fields<'_>,
    name: &'static str,
    problems: &mut Problems,
    read: fn(&Node, String, &mut Problems) -> T,
) -> Vec<(Word, T)> {
    let Some((node, path)) = fields.take(name) else { return Vec::new() };
    let Some(items) = entries(node, &path, problems) else { return Vec::new() };
    items
        .into_iter()
        .map(|(key, item)| (key.clone(), read(item, format!("{path}.{}", key.text), problems)))
        .collect()
}

fn server(node: &Node, path: String, problems: &mut Problems) -> Server {
    let Some(mut fields) = Fields::of(node, path, SERVER, problems) else { return Server::default() };
    Server {
        url: fields.text("url", problems),
        admin_url: fields.text("admin_url", problems),
        direct_url: fields.text("direct_url", problems),
        pooler: fields.text("pooler", problems),
        max_connections: fields.count("max_connections", problems),
        embedded: fields.boolean("embedded", problems),
        postgres: fields.scalar("postgres", problems),
        sqlite: fields.text("sqlite", problems),
    }
}

fn database(node: &Node, path: String, problems: &mut Problems) -> Database {
    let Some(mut fields) = Fields::of(node, path, DATABASE, problems) else { return Database::default() };
    Database {
        name: fields.text("name", problems),
        package: fields.text("package", problems),
        depends_on: fields.texts("depends_on", problems),
        tags: fields.texts("tags", problems),
        server: fields.text("server", problems),
        url: fields.text("url", problems),
        admin_url: fields.text("admin_url", problems),
        direct_url: fields.text("direct_url", problems),
        pooler: fields.text("pooler", problems),
        owner: fields.text("owner", problems),
        migrations: fields.take("migrations").and_then(|(node, path)| sources(node, &path, problems)),
        seeds: fields.take("seeds").and_then(|(node, path)| seeds(node, path, problems)),
        extensions: fields.texts("extensions", problems),
        settings: fields.pairs("settings", Fields::scalar_at, problems),
        keep: fields.take("clean").and_then(|(node, path)| keep(node, path, problems)),
        hooks: fields.take("hooks").and_then(|(node, path)| hooks(node, path, problems)),
        env: fields.pairs("env", Fields::text_at, problems),
        is_apart: false,
        is_moved: false,
    }
}

fn sources(node: &Node, path: &str, problems: &mut Problems) -> Option<Vec<Source>> {
    let Some(items) = list(node, path, problems) else {
        if let Kind::Text(text) = &node.kind {
            problems.rather(format!("write it as `migrations: [{{ path: {} }}]`", written(&text.value)));
        }
        if let Kind::Map(entries) = &node.kind {
            let path = entries.iter().find_map(|(key, value)| match &value.kind {
                Kind::Text(text) if key.text == "path" => Some(written(&text.value)),
                _ => None,
            });
            let more = if entries.len() > 1 { ", …" } else { "" };
            problems.rather(format!(
                "write it as a list of folders: `migrations: [{{ path: {}{more} }}]`",
                path.as_deref().unwrap_or("migrations")
            ));
        }
        return None;
    };
    let sources = items.iter().enumerate().filter_map(|(index, item)| {
        let Some(mut fields) = Fields::of(item, format!("{path}[{index}]"), SOURCE, problems) else {
            if let Kind::Text(text) = &item.kind {
                problems.rather(format!("write it as `{{ path: {} }}`", written(&text.value)));
            }
            return None;
        };
        let path = fields.required("path", problems);
        let format = fields.text("format", problems);
        let baseline = fields.take("baseline").and_then(|(node, path)| self::baseline(node, path, problems));
        let options = SourceOptions::NAMES.into_iter().filter_map(|name| {
            let value = fields.text(name, problems)?;
            Some(SourceOption { name, key: fields.key(name)?, value })
        });
        let options = options.collect();
        Some(Source { path: path?, format, baseline, options })
    });
    Some(sources.collect())
}

fn baseline(node: &Node, path: String, problems: &mut Problems) -> Option<Baseline> {
    let Some(mut fields) = Fields::of(node, path, BASELINE, problems) else {
        if let Kind::Text(text) = &node.kind {
            problems.rather(format!(
                "write it as `baseline: {{ file: {}, through: VERSION }}`",
                written(&text.value)
            ));
        }
        return None;
    };
    let file = fields.required("file", problems);
    let through = fields.required_scalar("through", problems);
    Some(Baseline { file: file?, through: through? })
}

fn seeds(node: &Node, path: String, problems: &mut Problems) -> Option<Seeds> {
    let Some(mut fields) = Fields::of(node, path, SEEDS, problems) else {
        if let Kind::Text(text) = &node.kind {
            problems.rather(format!("write it as `seeds: {{ path: {} }}`", written(&text.value)));
        }
        return None;
    };
    let path = fields.required("path", problems);
    let skip_in = fields.texts("skip_in", problems).unwrap_or_default();
    let runners = fields.pairs("runners", Fields::text_at, problems).unwrap_or_default();
    Some(Seeds { path: path?, skip_in, runners })
}

fn keep(node: &Node, path: String, problems: &mut Problems) -> Option<Vec<Text>> {
    let Some(mut fields) = Fields::of(node, path, CLEAN, problems) else {
        if let Some(tables) = texts(node) {
            problems.rather(format!("write it as `clean: {{ keep: [{tables}] }}`"));
        }
        return None;
    };
    fields.texts("keep", problems)
}

/// The commands of each hook: one, or a list of them.
fn hooks(node: &Node, path: String, problems: &mut Problems) -> Option<Vec<(Hook, Vec<Text>)>> {
    let mut fields = Fields::of(node, path, HOOKS, problems)?;
    let hooks = Hook::ALL.into_iter().filter_map(|hook| {
        let (node, path) = fields.take(hook.as_str())?;
        let commands = match &node.kind {
            Kind::List(items) => {
                let texts = items.iter().enumerate();
                texts
                    .filter_map(|(at, item)| Fields::text_at(item, &format!("{path}[{at}]"), problems))
                    .collect()
            }
            _ => vec![Fields::text_at(node, &path, problems)?],
        };
        Some((hook, commands))
    });
    Some(hooks.collect())
}

/// A text, or a list of nothing but texts, for hints.
fn texts(node: &Node) -> Option<String> {
    let text = |node: &Node| match &node.kind {
        Kind::Text(text) => Some(written(&text.value)),
        _ => None,
    };
    match &node.kind {
        Kind::List(items) => Some(items.iter().map(text).collect::<Option<Vec<_>>>()?.join(", ")),
        _ => text(node),
    }
}

fn environment(node: &Node, path: String, problems: &mut Problems) -> Environment {
    let Some(mut fields) = Fields::of(node, path, ENVIRONMENT, problems) else {
        return Environment::default();
    };
    Environment {
        protected: fields.boolean("protected", problems).is_some_and(|protected| protected.value),
        servers: named(&mut fields, "servers", problems, server),
        databases: named(&mut fields, "databases", problems, database),
    }
}

impl Server {
    /// The fields that an environment gives, over those of the declaration.
    ///
    /// A place replaces the place before it with all that leads there: a `url` puts an end to the other urls and to
    /// `embedded` and `sqlite`, and the other way round.
    pub(crate) fn overridden(mut self, by: &Self) -> Self {
        if by.url.is_some() && by.embedded.is_none() {
            self.embedded = None;
            self.postgres = None;
        }
        if by.sqlite.is_some() {
            self.embedded = None;
            self.postgres = None;
        }
        if by.moves() {
            self.url = None;
            self.admin_url = None;
            self.direct_url = None;
            self.pooler = None;
            self.sqlite = None;
        }
        Self {
            url: by.url.clone().or(self.url),
            admin_url: by.admin_url.clone().or(self.admin_url),
            direct_url: by.direct_url.clone().or(self.direct_url),
            pooler: by.pooler.clone().or(self.pooler),
            max_connections: by.max_connections.or(self.max_connections),
            embedded: by.embedded.or(self.embedded),
            postgres: by.postgres.clone().or(self.postgres),
            sqlite: by.sqlite.clone().or(self.sqlite),
        }
    }

    /// Whether an environment that says this makes it another server.
    pub(crate) fn moves(&self) -> bool {
        self.url.is_some() || self.sqlite.is_some() || self.embedded.is_some_and(|embedded| embedded.value)
    }
}

impl Database {
    /// The fields that an environment gives, over those of the declaration; lists and mappings as a whole.
    ///
    /// A place replaces the place before it with all that leads there: whoever creates databases in development must
    /// not be asked to in production.
    pub(crate) fn overridden(mut self, by: &Self) -> Self {
        if by.url.is_some() || by.server.is_some() {
            self.url = None;
            self.admin_url = None;
            self.direct_url = None;
            self.pooler = None;
        }
        Self {
            is_apart: by.url.is_some() && by.server.is_none(),
            is_moved: by.url.is_some() || by.server.is_some(),
            name: by.name.clone().or(self.name),
            package: by.package.clone().or(self.package),
            depends_on: by.depends_on.clone().or(self.depends_on),
            tags: by.tags.clone().or(self.tags),
            server: by.server.clone().or(self.server),
            url: by.url.clone().or(self.url),
            admin_url: by.admin_url.clone().or(self.admin_url),
            direct_url: by.direct_url.clone().or(self.direct_url),
            pooler: by.pooler.clone().or(self.pooler),
            owner: by.owner.clone().or(self.owner),
            migrations: by.migrations.clone().or(self.migrations),
            seeds: by.seeds.clone().or(self.seeds),
            extensions: by.extensions.clone().or(self.extensions),
            settings: by.settings.clone().or(self.settings),
            keep: by.keep.clone().or(self.keep),
            hooks: by.hooks.clone().or(self.hooks),
            env: by.env.clone().or(self.env),
        }
    }
}
