//! From migration folders to databases: who owns them, what they are called, what they depend on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use dbctl_migration::Dialect;

use super::{
    Certainty, Finding, FoundDatabase, FoundSource, Tool,
    seeds::seeds,
    urls::{sqlite_file_url, urls},
};
use crate::{
    Key, package,
    paths::{inside, shown},
    sqlite_url::sqlite_file,
};

/// What makes a folder somebody's own.
const MARKS: [&str; 9] = [
    "package.json",
    "Cargo.toml",
    "go.mod",
    "pyproject.toml",
    "composer.json",
    "Gemfile",
    "deno.json",
    "mix.exs",
    "pom.xml",
];

/// Words in a path that do not tell one database from another.
const COMMON_WORDS: [&str; 16] = [
    "migrations",
    "migration",
    "migrate",
    "sql",
    "db",
    "database",
    "databases",
    "prisma",
    "drizzle",
    "supabase",
    "schema",
    "schemas",
    "src",
    "apps",
    "packages",
    "services",
];

/// The order in which the tools of one database probably ran: who makes tables before who adds to them.
const USUAL_ORDER: [&str; 6] = ["node-pg-migrate", "sqlx", "dbmate", "supabase", "prisma", "drizzle"];

/// A package with migration folders; the root where no package owns them.
pub(super) struct Site {
    folder: PathBuf,
    sources: Vec<FoundSource>,
}

/// Migration folders by who owns them, in byte order of the owners.
pub(super) fn packages(root: &Path, sources: &[FoundSource]) -> Vec<Site> {
    let mut sites: BTreeMap<PathBuf, Vec<FoundSource>> = BTreeMap::new();
    for source in sources {
        let owner = source
            .folder
            .ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
            .find(|above| MARKS.iter().any(|mark| root.join(above).join(mark).is_file()))
            .unwrap_or_else(|| unmarked(&source.folder));
        sites.entry(owner.to_path_buf()).or_default().push(source.clone());
    }
    sites.into_iter().map(|(folder, sources)| Site { folder, sources }).collect()
}

/// Where nothing marks a package, it is what is left of the path without the folders that packages keep migrations in.
fn unmarked(folder: &Path) -> &Path {
    let is_special = |above: &&Path| {
        above.file_name().is_some_and(|name| !COMMON_WORDS.contains(&name.to_string_lossy().as_ref()))
    };
    folder.ancestors().skip(1).find(is_special).unwrap_or(Path::new(""))
}

/// `@scope/name` without its scope.
pub(super) fn unscoped(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The databases of all packages, each with a key of its own.
pub(super) fn databases(root: &Path, sites: Vec<Site>, findings: &mut Vec<Finding>) -> Vec<FoundDatabase> {
    let mut databases = Vec::new();
    let mut keys = BTreeSet::new();
    for site in sites {
        let (files, servers): (Vec<_>, Vec<_>) =
            site.sources.into_iter().partition(|source| source.dialect == Dialect::Sqlite);
        for sources in [servers, files].into_iter().filter(|sources| !sources.is_empty()) {
            for (hint, sources) in apart(sources) {
                databases.push(database(root, &site.folder, hint, sources, &mut keys));
            }
        }
    }
    name_all(root, &mut databases);
    find_files(root, &mut databases);
    let databases = joined(databases, findings);
    let databases = in_order(with_dependencies(root, databases));
    tell(root, &databases, findings);
    databases
}

/// Sources that make one database together. A tool keeps one history in a database, so two folders of one tool are two
/// databases; each is then told by what is special in its path.
fn apart(sources: Vec<FoundSource>) -> Vec<(Option<String>, Vec<FoundSource>)> {
    let tool = |source: &FoundSource| match &source.tool {
        Tool::Known(kinds) => kinds.first().map_or("", |kind| kind.as_str()),
        Tool::HomeGrown(_) => "custom",
    };
    let tools: BTreeSet<&str> = sources.iter().map(tool).collect();
    if tools.len() == sources.len() {
        let mut sources = sources;
        sources.sort_by_key(|source| {
            let name = match &source.tool {
                Tool::Known(kinds) => kinds.first().map_or("", |kind| kind.as_str()),
                Tool::HomeGrown(_) => "custom",
            };
            USUAL_ORDER.iter().position(|known| *known == name).unwrap_or(USUAL_ORDER.len())
        });
        return vec![(None, sources)];
    }
    let shared: BTreeSet<String> = words(&sources[0].folder)
        .into_iter()
        .filter(|word| sources.iter().all(|source| words(&source.folder).contains(word)))
        .collect();
    sources
        .into_iter()
        .map(|source| {
            let special = words(&source.folder)
                .into_iter()
                .rfind(|word| !shared.contains(word) && !COMMON_WORDS.contains(&word.as_str()));
            (special, vec![source])
        })
        .collect()
}

fn words(folder: &Path) -> Vec<String> {
    folder.iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

fn database(
    root: &Path,
    package: &Path,
    hint: Option<String>,
    sources: Vec<FoundSource>,
    keys: &mut BTreeSet<String>,
) -> FoundDatabase {
    let folder = root.join(package);
    let named = package::name(&folder).map(|name| unscoped(&name).to_owned());
    let last = package.file_name().or(root.file_name()).map(|name| name.to_string_lossy().into_owned());
    // The folder is what people call it; a package's name often carries the product's.
    let wanted = hint.or(if package.as_os_str().is_empty() { named } else { last }).unwrap_or_default();
    let key = free_key(&wanted, keys);
    FoundDatabase {
        key,
        name: None,
        file: None,
        seeds: seeds(&folder),
        package: package.to_path_buf(),
        sources,
        depends_on: Vec::new(),
        env: Vec::new(),
    }
}

/// A text as a key that no other database has.
fn free_key(wanted: &str, keys: &mut BTreeSet<String>) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain: String = wanted.chars().map(|c| if fits(c) { c.to_ascii_lowercase() } else { '-' }).collect();
    let plain = plain.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let plain = if Key::parse(plain).is_ok() { plain } else { "main" };
    let mut key = plain.to_owned();
    let mut number = 2;
    while !keys.insert(key.clone()) {
        key = format!("{plain}-{number}");
        number += 1;
    }
    key
}

/// Gives each database that is a SQLite file the URL that its package has, or one of its own.
fn find_files(root: &Path, databases: &mut [FoundDatabase]) {
    let mut taken: BTreeSet<PathBuf> = BTreeSet::new();
    let is_file =
        |database: &FoundDatabase| database.sources.iter().any(|source| source.dialect == Dialect::Sqlite);
    let files = databases.iter().filter(|database| is_file(database)).count();
    for database in databases.iter_mut().filter(|database| is_file(database)) {
        database.name = None;
        let mark = database.key.replace('-', "_").to_uppercase();
        let folder = root.join(&database.package);
        // Where there are several, the variable has to speak of this one.
        let shared = database.package.as_os_str().is_empty() && files > 1;
        let wanted = |var: &str| !shared || var.contains(&mark);
        // One that leads out of the workspace is not the manifest's to name, nor is one that is another's.
        let reaches = |url: &str| match sqlite_file(url) {
            Some(Ok(file)) if file.is_absolute() => Some(file),
            Some(Ok(file)) => inside(root, &database.package, file.to_str()?).ok(),
            Some(Err(_)) | None => None,
        };
        let found = sqlite_file_url(&folder, &wanted).filter(|(_, url)| url.chars().all(is_plain));
        let found = found.and_then(|(var, url)| Some((reaches(&url)?, url, Some(var))));
        let (file, url, var) = found.filter(|(file, ..)| !taken.contains(file)).unwrap_or_else(|| {
            let url = format!("sqlite:data/{}.db", default_name(&database.key));
            (reaches(&url).unwrap_or_default(), url, None)
        });
        taken.insert(file);
        database.file = Some((url, var));
    }
}

/// What a URL may have in the manifest as it is.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:?=&%".contains(c)
}

/// Gives each database the name that its package's URL has, or one of the root's variables that speaks of it.
fn name_all(root: &Path, databases: &mut [FoundDatabase]) {
    let at_root = urls(root);
    let per_package: BTreeMap<PathBuf, usize> =
        databases.iter().fold(BTreeMap::new(), |mut counts, database| {
            *counts.entry(database.package.clone()).or_default() += 1;
            counts
        });
    let alone = databases.len() == 1;
    for database in databases {
        let own = urls(&root.join(&database.package));
        let spoken = |urls: &BTreeMap<String, String>| {
            let key = database.key.replace('-', "_").to_uppercase();
            urls.iter()
                .find(|(var, _)| var.contains(&key))
                .map(|(var, name)| (name.clone(), Some(var.clone())))
        };
        let usual = |urls: &BTreeMap<String, String>| {
            let var =
                ["DATABASE_URL", "POSTGRES_URL", "DB_URL"].into_iter().find(|var| urls.contains_key(*var));
            let only = || urls.keys().next().filter(|_| urls.len() == 1).map(String::as_str);
            let var = var.or_else(only)?;
            Some((urls[var].clone(), Some(var.to_owned())))
        };
        let shares_package = per_package[&database.package] > 1;
        database.name = match (shares_package, database.package.as_os_str().is_empty()) {
            (true, _) => spoken(&own).or_else(|| spoken(&at_root)),
            (false, true) => {
                if alone {
                    usual(&own)
                } else {
                    spoken(&own)
                }
            }
            (false, false) => usual(&own)
                .or_else(|| spoken(&own))
                .or_else(|| spoken(&at_root))
                .or_else(|| if alone { usual(&at_root) } else { None }),
        };
    }
}

/// Packages whose URLs name one database have it together: one entry with the folders of all.
fn joined(databases: Vec<FoundDatabase>, findings: &mut Vec<Finding>) -> Vec<FoundDatabase> {
    let mut joined: Vec<FoundDatabase> = Vec::new();
    for database in databases {
        let same = |other: &&mut FoundDatabase| {
            let name = |database: &FoundDatabase| database.name.as_ref().map(|(name, _)| name.clone());
            name(other).is_some() && name(other) == name(&database)
        };
        match joined.iter_mut().find(same) {
            None => joined.push(database),
            Some(first) => {
                findings.push(Finding::new(
                    Certainty::Guess,
                    format!(
                        "{}: {} and {} name the same database in their URLs, so it has the folders of both, in this order",
                        first.key,
                        shown(&first.package),
                        shown(&database.package)
                    ),
                ));
                first.sources.extend(database.sources);
                first.seeds = first.seeds.take().filter(|_| database.seeds.is_none());
            }
        }
    }
    joined
}

/// A database depends on those whose URL its package has, and on those of packages that its package uses.
fn with_dependencies(root: &Path, mut databases: Vec<FoundDatabase>) -> Vec<FoundDatabase> {
    let known: Vec<(String, Option<String>, Option<String>)> = databases
        .iter()
        .map(|database| {
            let name = database.name.as_ref().map(|(name, _)| name.clone());
            (database.key.clone(), name, package::name(&root.join(&database.package)))
        })
        .collect();
    for at in 0..databases.len() {
        let folder = root.join(&databases[at].package);
        if databases[at].package.as_os_str().is_empty() {
            continue;
        }
        for (var, name) in urls(&folder) {
            let other = known
                .iter()
                .find(|(key, known, _)| *key != databases[at].key && *known == Some(name.clone()));
            if let Some((key, _, _)) = other {
                let why = format!("{var} in its env file");
                if depend(&mut databases, at, key, why) {
                    databases[at].env.push((var, key.clone()));
                }
            }
        }
        for used in used_packages(&folder) {
            let other = known.iter().find(|(key, _, package)| {
                *key != databases[at].key && package.as_deref() == Some(used.as_str())
            });
            if let Some((key, _, _)) = other {
                depend(&mut databases, at, key, format!("its package uses {used}"));
            }
        }
    }
    databases
}

/// Adds an edge; `false` where it would close a cycle.
fn depend(databases: &mut [FoundDatabase], at: usize, key: &str, why: String) -> bool {
    if databases[at].depends_on.iter().any(|(known, _)| known == key) {
        return true;
    }
    let mut open = vec![key.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(next) = open.pop() {
        if next == databases[at].key {
            return false;
        }
        if seen.insert(next.clone()) {
            let below = databases.iter().filter(|database| database.key == next);
            open.extend(below.flat_map(|database| database.depends_on.iter().map(|(key, _)| key.clone())));
        }
    }
    databases[at].depends_on.push((key.to_owned(), why));
    true
}

/// What others depend on comes first; else the order stays.
fn in_order(mut databases: Vec<FoundDatabase>) -> Vec<FoundDatabase> {
    let mut ordered: Vec<FoundDatabase> = Vec::with_capacity(databases.len());
    while !databases.is_empty() {
        let is_free = |database: &FoundDatabase| {
            database.depends_on.iter().all(|(key, _)| ordered.iter().any(|before| before.key == *key))
        };
        // There is always one, since no edge closes a cycle.
        let next = databases.iter().position(is_free).unwrap_or(0);
        ordered.push(databases.remove(next));
    }
    ordered
}

/// Names of packages that a package depends on, by `package.json` and `Cargo.toml`.
fn used_packages(folder: &Path) -> Vec<String> {
    let mut used = Vec::new();
    let json = fs::read_to_string(folder.join("package.json")).ok();
    let json = json.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    for table in ["dependencies", "devDependencies", "peerDependencies"] {
        let names = json.as_ref().and_then(|json| json.get(table)?.as_object());
        used.extend(names.into_iter().flatten().map(|(name, _)| name.clone()));
    }
    let cargo = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let mut inside = false;
    for line in cargo.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            inside = header.starts_with("dependencies]");
            continue;
        }
        let name = line.split(['=', '.']).next().unwrap_or_default().trim();
        if inside && !name.is_empty() && !name.starts_with('#') {
            used.push(name.to_owned());
        }
    }
    used
}

/// Says of each database what is sure and what is not.
fn tell(root: &Path, databases: &[FoundDatabase], findings: &mut Vec<Finding>) {
    for database in databases {
        let mut say = |certainty, text: String| {
            findings.push(Finding::new(certainty, format!("{}: {text}", database.key)));
        };
        for source in &database.sources {
            let folder = shown(&source.folder);
            match &source.tool {
                Tool::Known(kinds) => match kinds.as_slice() {
                    [kind] => say(Certainty::Sure, format!("{folder} holds migrations of {kind}")),
                    kinds => {
                        let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
                        say(Certainty::Guess, format!("{folder} may be of {}", names.join(" or of ")));
                    }
                },
                Tool::HomeGrown(guess) => match (&guess.table, &guess.told_by) {
                    (Some(table), Some(file)) => {
                        say(
                            Certainty::Guess,
                            format!("{folder} is run by {file}, which records it in {table}"),
                        );
                    }
                    _ => say(
                        Certainty::Guess,
                        format!(
                            "{folder} belongs to a runner of your own, and no file says which table it records in"
                        ),
                    ),
                },
            }
            if let Some(file) = consolidated(&root.join(&source.folder)) {
                say(
                    Certainty::Guess,
                    format!(
                        "{folder}/{file} looks like a consolidated schema: see `baseline` in docs/manifest.md"
                    ),
                );
            }
        }
        if database.sources.len() > 1 {
            say(Certainty::Guess, "its folders run in the order in which they are listed".to_owned());
        }
        match &database.file {
            Some((url, Some(var))) => {
                say(Certainty::Sure, format!("it is the SQLite file of {url}, by {var}"))
            }
            Some((url, None)) => {
                say(Certainty::Guess, format!("no URL names its SQLite file, so it is {url}"));
            }
            None => {}
        }
        match &database.name {
            _ if database.file.is_some() => {}
            Some((name, Some(var))) => say(Certainty::Sure, format!("it is called {name}, by {var}")),
            Some((name, None)) => say(Certainty::Sure, format!("it is called {name}")),
            None => say(
                Certainty::Guess,
                format!("no URL names it, so it is called {}", default_name(&database.key)),
            ),
        }
        for (key, why) in &database.depends_on {
            say(Certainty::Guess, format!("it depends on {key}, since {why}"));
        }
        if let Some(seeds) = &database.seeds {
            say(Certainty::Sure, format!("its seeds are in {}", shown(&database.package.join(&seeds.path))));
            for (extension, command) in &seeds.runners {
                say(Certainty::Guess, format!("its .{extension} seeds are run by `{command}`"));
            }
        }
    }
}

/// The name of a database that no URL names.
pub(super) fn default_name(key: &str) -> String {
    key.replace(['-', '.'], "_")
}

/// A file that stands for all before it, by its name.
fn consolidated(folder: &Path) -> Option<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    let is_last = |name: &&String| {
        let digits = name.chars().take_while(char::is_ascii_digit).count();
        digits > 3 && name[..digits].bytes().all(|digit| digit == b'9')
    };
    let says_so = |name: &&String| {
        let words = ["consolidated_schema", "master_schema", "squashed"];
        name.ends_with(".sql") && words.iter().any(|word| name.contains(word))
    };
    names.iter().find(is_last).or_else(|| names.iter().find(says_so)).cloned()
}
