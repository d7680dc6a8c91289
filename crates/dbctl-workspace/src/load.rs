//! Finding and reading the manifest.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use dbctl_migration::DatabaseName;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Env, Key, ManifestErrors, Source, Span, Workspace,
    assemble::{self, Site},
    check, environment,
    graph::graph,
    location::Places,
    on_sqlite::{Speech, check_files},
    problem::Problems,
    raw,
    vars::Vars,
    workspace::Parts,
    yaml::{self, Text, Word},
};

/// The largest manifest that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// What to read, and what it may depend on.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The manifest.
    pub manifest: PathBuf,
    /// The process environment.
    pub env: Env,
    /// `--env`.
    pub environment: Option<String>,
}

/// Looks for `workspace.yaml` (or `workspace.yml`) in a folder and upwards.
pub fn find_manifest(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .flat_map(|folder| ["workspace.yaml", "workspace.yml"].map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// Reads and checks a manifest; all that is wrong with it is reported together.
pub fn load(options: &LoadOptions) -> Result<Workspace, ManifestErrors> {
    let mut problems = Problems::default();
    let shown = &options.manifest;
    let read = read(shown).and_then(|text| Ok((text, absolute(shown)?)));
    let (source, manifest) = match read {
        Ok(read) => read,
        Err(error) => {
            problems.nowhere(format!("cannot read the manifest: {error}"));
            return Err(problems.into_errors(shown, "").expect("there is one"));
        }
    };
    let source = source.strip_prefix('\u{feff}').unwrap_or(&source);
    let parts = parts(options, source, &manifest, &mut problems);
    match (problems.into_errors(shown, source), parts) {
        (None, Some(parts)) => Ok(Workspace::new(parts)),
        (Some(errors), _) => Err(errors),
        (None, None) => unreachable!("without parts there is a problem"),
    }
}

/// A database that no manifest tells of, such as that of an application which carries its migrations inside.
pub struct Alone {
    /// The database.
    pub name: DatabaseName,
    /// How to reach it.
    pub url: SecretString,
    /// The process environment: what fills the gaps of the URL, and says which environment this is.
    pub env: Env,
    /// The environment, whatever the variables say.
    pub environment: Option<String>,
    /// Its migrations.
    pub sources: Vec<Source>,
}

impl Alone {
    /// The key that its database has.
    pub const KEY: &str = "app";
    /// What holds the URL.
    const URL: &str = "DBCTL_APPLICATION_URL";

    /// The workspace of this one database.
    pub fn workspace(self) -> Result<Workspace, ManifestErrors> {
        let key = Key::parse(Self::KEY).expect("it is one");
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let environment = self
            .environment
            .clone()
            .or_else(|| environment::named(&self.env).map(|(name, _)| name.to_owned()));
        let declared = environment.filter(|name| !environment::BUILT_IN.contains(&&**name));
        let environments = declared
            .map_or_else(String::new, |name| format!("environments: {{ {}: {{}} }}\n", quoted(&name)));
        let source = format!(
            "workspace: {key}\nenv_files: []\ndatabases:\n  {key}: {{ name: {}, url: \"${{{}}}\" }}\n{environments}",
            quoted(self.name.as_str()),
            Self::URL
        );
        let variables = self.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = (Self::URL.to_owned(), self.url.expose_secret().to_owned());
        let manifest = PathBuf::from("/application");
        let env = Env::new(variables.chain([url]));
        let options = LoadOptions { manifest: manifest.clone(), env, environment: self.environment };
        let mut problems = Problems::default();
        let parts = parts(&options, &source, &manifest, &mut problems);
        match (problems.into_errors(&manifest, &source), parts) {
            (None, Some(mut parts)) => {
                let mut problems = Problems::default();
                if let Some(database) = parts.databases.get_mut(&key) {
                    let speech = Speech { dialect: database.dialect, is_fixed: true };
                    database.sources = self.sources;
                    for source in &mut database.sources {
                        source.options.dialect = speech.dialect;
                        speech.check_format(source.format.kind(), Span::default(), &mut problems);
                    }
                }
                problems.into_errors(&manifest, "").map_or_else(|| Ok(Workspace::new(parts)), Err)
            }
            (Some(errors), _) => Err(errors),
            (None, None) => unreachable!("without parts there is a problem"),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_BYTES / 1024 / 1024)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("it is not UTF-8 (line {line})"))
    })
}

/// The canonical folder, with the name that was given: a link to a manifest is a manifest where the link is.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let name = path.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
    let folder = path.parent().ok_or_else(|| io::Error::other("it has no folder"))?.canonicalize()?;
    Ok(folder.join(name))
}

fn parts(options: &LoadOptions, source: &str, manifest: &Path, problems: &mut Problems) -> Option<Parts> {
    let root = manifest.parent().expect("the manifest lies in a folder");
    let tree = yaml::parse(source, problems)?;
    let raw = raw::read(&tree, problems);
    check::check(&raw, problems);
    let (environment, overrides) =
        environment::choose(options.environment.as_deref(), &options.env, &raw, problems);
    let servers = overridden(&raw.servers, overrides.map(|over| &over.servers), raw::Server::overridden);
    let written =
        overridden(&raw.databases, overrides.map(|over| &over.databases), raw::Database::overridden);

    let mut vars = Vars::new(options.env.clone());
    let mut site = Site { root, vars: &mut vars, problems, deferred: Problems::default() };
    env_files(raw.env_files.as_deref(), &mut site);
    // Every database sees them.
    site.problems.append(&mut site.deferred);
    let places = Places::new(servers, &written, overrides, root);
    let mut databases = BTreeMap::new();
    for (word, database) in &written {
        if let Some(database) = assemble::database(word, database, &places, &mut site) {
            databases.insert(database.key.clone(), database);
        }
    }
    assemble::check_distinct(
        &databases,
        |key| places.sure_server(key),
        |key| name_span(key, &written),
        problems,
    );
    check_files(&mut databases, &places, &vars, root, problems);
    if !problems.is_empty() {
        return None;
    }
    let edges = databases.iter().map(|(key, database)| (key.clone(), database.depends_on.clone())).collect();
    Some(Parts {
        name: raw.workspace.expect("it is there, or there is a problem").value,
        root: root.to_owned(),
        manifest: manifest.to_owned(),
        shown: options.manifest.clone(),
        source: source.to_owned(),
        environment,
        databases,
        graph: graph(&edges).expect("cycles are problems"),
        vars,
        places,
    })
}

/// Declarations with what the environment says over them.
fn overridden<T: Clone>(
    base: &[(Word, T)],
    over: Option<&Vec<(Word, T)>>,
    merge: fn(T, &T) -> T,
) -> Vec<(Word, T)> {
    let over = over.map(Vec::as_slice).unwrap_or_default();
    let find = |word: &Word| over.iter().find(|(over, _)| over.text == word.text).map(|(_, over)| over);
    base.iter()
        .map(|(word, base)| {
            let merged = find(word).map_or_else(|| base.clone(), |over| merge(base.clone(), over));
            (word.clone(), merged)
        })
        .collect()
}

/// `.env` where the manifest names none.
fn env_files(files: Option<&[Text]>, site: &mut Site<'_>) {
    let Some(files) = files else {
        if let Err(message) = site.vars.add_default_file(site.root) {
            site.problems.nowhere(message).hint("dbctl reads `.env` unless `env_files` names other files");
        }
        return;
    };
    for text in files {
        let Some(path) = site.path(text, Path::new(""), None) else { continue };
        if let Err(message) = site.vars.add_file(site.root, &path) {
            site.problems.at(text.span, message);
        }
    }
}

fn name_span(key: &Key, written: &[(Word, raw::Database)]) -> Span {
    let (word, database) =
        written.iter().find(|(word, _)| word.text == key.as_str()).expect("every database was written");
    database.name.as_ref().map_or(word.span, |name| name.span)
}
