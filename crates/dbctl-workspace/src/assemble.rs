//! From a manifest as written to databases that are known to be valid, for one environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use dbctl_migration::{
    DatabaseName, Dialect, Folder, FormatKind, SourceOptions,
    ident::{IdentError, check_ident},
};

use crate::{
    Database, FormatChoice, Hook, Hooks, Key, Package, Seeds, Source, SourceBaseline, Span,
    interpolate::has_references,
    location::Places,
    on_sqlite::{Finder, Speech, check_useless},
    package,
    paths::{from_to, inside, join, real, shown},
    problem::Problems,
    raw,
    suggest::{did_you_mean_or_list, nearest},
    vars::{Vars, Viewer},
    yaml::{Text, Word},
};

/// What everything is built with.
pub(crate) struct Site<'a> {
    /// The manifest's folder, canonical.
    pub(crate) root: &'a Path,
    pub(crate) vars: &'a mut Vars,
    pub(crate) problems: &'a mut Problems,
    /// What is wrong with one database for want of a variable, or because of what a folder holds: nobody else's
    /// business.
    pub(crate) deferred: Problems,
}

/// What helps where a database of the server itself is named.
const OWN_DATABASE: &str = "dbctl needs a database of its own, which it may empty and drop: choose another name, and \
    `dbctl create` makes it, also on hosts that start with nothing but `postgres`, such as Supabase";

/// What a database is called that nobody knows the name of.
const UNKNOWN: &str = "?";

/// One database; `None` where a problem says why not. What is wrong only if it is needed goes into the database.
pub(crate) fn database(
    word: &Word,
    raw: &raw::Database,
    places: &Places,
    site: &mut Site<'_>,
) -> Option<Database> {
    let key = Key::parse(&word.text).ok()?;
    let package = raw.package.as_ref().and_then(|text| site.package(text));
    let is_lost = raw.package.is_some() && package.is_none();
    let folder = package.as_ref().map(|package| package.shown.clone());
    let viewer = folder.as_deref();
    let name = site.database_name(&key, word.span, raw.name.as_ref(), viewer);
    let owner = site.ident("the owner", raw.owner.as_ref(), viewer);
    let speech = site.speech(&key, places, viewer, name.as_ref());
    if speech.dialect == Dialect::Sqlite && !speech.is_fixed && !raw.is_moved {
        check_useless(raw, &mut site.deferred);
    }
    // Nothing that lies in a package can be found without it.
    let raw_sources = raw.migrations.as_deref().unwrap_or_default();
    let (sources, untold) = site.sources(raw_sources, viewer, is_lost, speech);
    let seeds = raw.seeds.as_ref().filter(|_| !is_lost).and_then(|seeds| site.seeds(seeds, viewer));
    let extensions = site.each(raw.extensions.as_deref(), viewer, |site, text, value| {
        site.checked_ident("the extension", text, value)
    });
    let settings = site.settings(raw.settings.as_deref().unwrap_or_default(), viewer);
    let keep = site.each(raw.keep.as_deref(), viewer, |site, text, value| {
        if value.trim().is_empty() {
            site.problems_of(text).at(text.span, "the table's name is empty");
        }
        Some(value)
    });
    let hooks = site.hooks(raw.hooks.as_deref().unwrap_or_default());
    let keys = |texts: &Option<Vec<Text>>| -> BTreeSet<Key> {
        texts.iter().flatten().filter_map(|text| Key::parse(&text.value).ok()).collect()
    };
    let env = raw.env.iter().flatten();
    Some(Database {
        depends_on: keys(&raw.depends_on),
        tags: raw.tags.iter().flatten().map(|tag| tag.value.clone()).collect(),
        env: env
            .filter_map(|(name, text)| Some((name.text.clone(), Key::parse(&text.value).ok()?)))
            .collect(),
        key,
        is_named: name.is_some(),
        name: name.unwrap_or_else(|| DatabaseName::parse(UNKNOWN).expect("a sign can be a name")),
        package,
        owner,
        sources,
        untold,
        seeds,
        extensions,
        settings,
        keep,
        hooks,
        dialect: speech.dialect,
        is_copy: false,
        declared: word.span,
        root: site.root.to_owned(),
        deferred: std::mem::take(&mut site.deferred),
    })
}

impl Site<'_> {
    /// What kind of database it is, as far as that can be told.
    fn speech(&self, key: &Key, places: &Places, viewer: Viewer<'_>, name: Option<&DatabaseName>) -> Speech {
        let base = viewer.unwrap_or(Path::new(""));
        let finder = Finder { root: self.root, base, name, is_copy: false };
        // Where it leads nowhere, somebody says so who needs it.
        let location = places.find(key, self.vars, viewer, &finder, &mut Problems::default());
        Speech::of(location.as_ref().map(|location| &location.way), places.is_fixed(key))
    }

    /// What is malformed is wrong for everybody; what is not set, for who needs it.
    fn evaluate(&mut self, text: &Text, viewer: Viewer<'_>) -> Option<String> {
        if !self.vars.is_well_formed(text, self.problems) {
            return None;
        }
        self.vars.evaluate(text, viewer, &mut self.deferred)
    }

    /// Where problems of a text's value go: with other variables it would have another.
    fn problems_of(&mut self, text: &Text) -> &mut Problems {
        if has_references(&text.value) { &mut self.deferred } else { self.problems }
    }

    /// Evaluates a path and places it in the workspace; relative to the root.
    pub(crate) fn path(&mut self, text: &Text, base: &Path, viewer: Viewer<'_>) -> Option<PathBuf> {
        let value = self.evaluate(text, viewer)?;
        match inside(self.root, base, &value) {
            Ok(path) => Some(path),
            Err(error) => {
                let written =
                    if text.value.is_empty() { String::new() } else { format!("`{}`: ", text.value) };
                self.problems_of(text).at(text.span, format!("{written}{error}")).hint(error.hint());
                None
            }
        }
    }

    fn package(&mut self, text: &Text) -> Option<Package> {
        let relative = self.path(text, Path::new(""), None)?;
        let path = join(self.root, &relative);
        if !path.is_dir() {
            let state = if path.exists() { "is not a folder" } else { "does not exist" };
            let hint = self.similar_folder(&relative);
            self.problems_of(text)
                .at(text.span, format!("the package folder {} {state}", shown(&relative)))
                .maybe_hint(hint);
            return None;
        }
        self.vars.add_package(self.root, &relative);
        if let Some(message) = self.vars.trouble(Some(&relative)) {
            self.deferred
                .at(text.span, message)
                .hint("dbctl reads the `.env` of the packages whose databases it needs");
        }
        let name = package::name(&path);
        Some(Package { path, shown: relative, name })
    }

    /// A folder beside the one that is missing.
    fn similar_folder(&self, relative: &Path) -> Option<String> {
        let wanted = relative.file_name()?.to_str()?;
        let parent = relative.parent()?;
        let entries = join(self.root, parent).read_dir().ok()?;
        let folders = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> =
            folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let near = nearest(wanted, names.iter().map(String::as_str))?;
        Some(format!("did you mean `{}`?", parent.join(near).display()))
    }

    fn database_name(
        &mut self,
        key: &Key,
        declared: Span,
        name: Option<&Text>,
        viewer: Viewer<'_>,
    ) -> Option<DatabaseName> {
        let (value, span) = match name {
            Some(text) => (self.evaluate(text, viewer)?, text.span),
            None => (key.as_str().to_owned(), declared),
        };
        match DatabaseName::parse(&value) {
            Ok(name) => Some(name),
            Err(error) => {
                let problems = match name {
                    Some(text) => self.problems_of(text),
                    None => &mut *self.problems,
                };
                let found =
                    problems.at(span, format!("the database of `{key}` cannot have this name: {error}"));
                let by_key = "the key is the name where `name` is left out";
                match (&error, name) {
                    (IdentError::Reserved(_), Some(_)) => found.hint(OWN_DATABASE),
                    (IdentError::Reserved(_), None) => found.hint(format!("{by_key}; {OWN_DATABASE}")),
                    (_, None) => found.hint(by_key),
                    (_, Some(_)) => found,
                };
                None
            }
        }
    }

    fn ident(&mut self, what: &str, text: Option<&Text>, viewer: Viewer<'_>) -> Option<String> {
        let text = text?;
        let value = self.evaluate(text, viewer)?;
        self.checked_ident(what, text, value)
    }

    fn checked_ident(&mut self, what: &str, text: &Text, value: String) -> Option<String> {
        match check_ident(&value) {
            Ok(()) => Some(value),
            Err(error) => {
                self.problems_of(text).at(text.span, format!("{what} cannot be used: {error}"));
                None
            }
        }
    }

    fn each(
        &mut self,
        texts: Option<&[Text]>,
        viewer: Viewer<'_>,
        check: fn(&mut Self, &Text, String) -> Option<String>,
    ) -> Vec<String> {
        let mut values = Vec::new();
        for text in texts.unwrap_or_default() {
            if let Some(value) = self.evaluate(text, viewer) {
                values.extend(check(self, text, value));
            }
        }
        values
    }

    fn settings(&mut self, settings: &[(Word, Text)], viewer: Viewer<'_>) -> BTreeMap<String, String> {
        let mut evaluated = BTreeMap::new();
        for (name, text) in settings {
            if !is_setting(&name.text) {
                self.problems
                    .at(name.span, format!("`{}` is not the name of a setting", name.text))
                    .hint("such as `statement_timeout` or `app.tenant`");
            }
            if let Some(value) = self.evaluate(text, viewer) {
                evaluated.insert(name.text.clone(), value);
            }
        }
        evaluated
    }

    /// The migration folders, and the names of those that cannot be told.
    fn sources(
        &mut self,
        raw: &[raw::Source],
        viewer: Viewer<'_>,
        is_lost: bool,
        speech: Speech,
    ) -> (Vec<Source>, Vec<String>) {
        let (mut sources, mut untold) = (Vec::<Source>::new(), Vec::new());
        for raw in raw {
            let declared = raw.format.as_ref().and_then(|format| self.declared_format(format));
            if is_lost {
                untold.push(raw.path.value.clone());
                continue;
            }
            let source = match self.source(raw, declared, viewer, speech) {
                Ok(source) => source,
                Err(name) => {
                    untold.push(name);
                    continue;
                }
            };
            let folder = real(&source.folder.path);
            if let Some(other) = sources.iter().find(|other| real(&other.folder.path) == folder) {
                let (here, there) = (shown(&source.folder.shown), shown(&other.folder.shown));
                let message = if here == there {
                    format!("the migration folder {here} is listed twice")
                } else {
                    format!("the migration folders {there} and {here} are one folder")
                };
                self.problems.at(source.declared, message).hint("remove one of the two");
                continue;
            }
            sources.push(source);
        }
        (sources, untold)
    }

    /// A migration folder; the best name there is for it where a problem says why it cannot be told.
    fn source(
        &mut self,
        raw: &raw::Source,
        declared: Option<FormatKind>,
        viewer: Viewer<'_>,
        speech: Speech,
    ) -> Result<Source, String> {
        let base = viewer.unwrap_or(Path::new(""));
        let relative = self.path(&raw.path, base, viewer).ok_or_else(|| raw.path.value.clone())?;
        let name = from_to(base, &relative);
        let folder = Folder::new(join(self.root, &relative), relative);
        let format = match declared {
            Some(kind) => FormatChoice::Declared(kind),
            None => self.detected_format(&folder, raw.path.span, speech).ok_or_else(|| name.clone())?,
        };
        let span = raw.format.as_ref().unwrap_or(&raw.path).span;
        let is_sure = declared.is_some() && speech.is_fixed;
        speech.check_format(format.kind(), span, if is_sure { self.problems } else { &mut self.deferred });
        let options = self.source_options(raw, format, viewer, speech);
        let baseline = match &raw.baseline {
            Some(baseline) => Some(self.baseline(baseline, base, viewer).ok_or_else(|| name.clone())?),
            None => None,
        };
        Ok(Source { name, folder, format, baseline, options, declared: raw.path.span })
    }

    fn baseline(&mut self, raw: &raw::Baseline, base: &Path, viewer: Viewer<'_>) -> Option<SourceBaseline> {
        let relative = self.path(&raw.file, base, viewer);
        let through = self.evaluate(&raw.through, viewer)?;
        if through.trim().is_empty() {
            let nothing = SourceBaseline::NOTHING_ELSE;
            self.problems_of(&raw.through)
                .at(raw.through.span, "`through` is empty")
                .hint(format!("name the last migration that the file holds, or write `{nothing}`"));
            return None;
        }
        let relative = relative?;
        Some(SourceBaseline { path: join(self.root, &relative), shown: relative, through })
    }

    /// What a source says beyond its path and format; a problem where its format has no use for it.
    fn source_options(
        &mut self,
        raw: &raw::Source,
        format: FormatChoice,
        viewer: Viewer<'_>,
        speech: Speech,
    ) -> SourceOptions {
        let kind = format.kind();
        let dialect = speech.dialect;
        let (mut options, mut all_known) = (SourceOptions { dialect, ..SourceOptions::default() }, true);
        for raw::SourceOption { name, key, value: text } in &raw.options {
            let value = match *name {
                "schema" => self.ident("the schema", Some(text), viewer),
                "table" => self.ident("the table", Some(text), viewer),
                "name_column" | "applied_column" => self.ident("the column", Some(text), viewer),
                _ => self.evaluate(text, viewer),
            };
            all_known &= value.is_some();
            if value.is_some() && !kind.options().contains(name) {
                self.useless_option(name, *key, format);
            }
            if let Some(field) = options.field(name) {
                *field = value;
            }
        }
        if all_known && let Err(error) = kind.check(&options) {
            let given = raw.options.iter().find(|given| given.name == error.option).map(|given| &given.value);
            let text = given.unwrap_or_else(|| raw.format.as_ref().unwrap_or(&raw.path));
            // Another option may be the one that has to change.
            let is_fixed =
                speech.is_fixed && raw.options.iter().all(|given| !has_references(&given.value.value));
            let has_place = given.is_some() && !has_references(&text.value);
            let part = error.part.filter(|_| has_place).map(|part| text.part(part));
            let problems = if is_fixed { &mut *self.problems } else { &mut self.deferred };
            problems.at(part.unwrap_or(text.span), error.message).maybe_hint(error.hint);
        }
        options
    }

    /// A format that was not declared depends on the files, which are nobody's business who does not need them.
    fn useless_option(&mut self, name: &str, key: Span, format: FormatChoice) {
        let kind = format.kind();
        let takers: Vec<FormatKind> =
            FormatKind::all().filter(|kind| kind.options().contains(&name)).collect();
        let (problems, remedy) = match format {
            FormatChoice::Declared(_) => (&mut *self.problems, "remove it"),
            FormatChoice::Detected(_) | FormatChoice::Assumed(_) => {
                (&mut self.deferred, "say which `format` it is")
            }
        };
        let hint = match takers.as_slice() {
            [only] => format!("{remedy}; only `{only}` has it"),
            _ => remedy.to_owned(),
        };
        problems.at(key, format!("the format `{kind}` has no `{name}`")).hint(hint);
    }

    fn declared_format(&mut self, text: &Text) -> Option<FormatKind> {
        let kind = FormatKind::parse(&text.value);
        if kind.is_none() {
            let known = FormatKind::names();
            self.problems
                .at(text.span, format!("there is no migration format `{}`", text.value))
                .maybe_hint(did_you_mean_or_list(&text.value, "formats", &known));
        }
        kind
    }

    /// `None` where the files do not tell, which matters only to who needs the database.
    fn detected_format(&mut self, folder: &Folder, span: Span, speech: Speech) -> Option<FormatChoice> {
        let assumed = FormatChoice::Assumed(FormatKind::NATIVE);
        if !folder.path.is_dir() {
            return Some(assumed);
        }
        let place = shown(&folder.shown);
        let candidates = match FormatKind::detect(&folder.path) {
            Ok(candidates) if candidates.iter().any(|kind| kind.speaks(speech.dialect)) => {
                candidates.into_iter().filter(|kind| kind.speaks(speech.dialect)).collect()
            }
            Ok(candidates) => candidates,
            Err(error) => {
                self.deferred
                    .at(span, format!("cannot read the migrations in {place}: {error}"))
                    .hint("dbctl looks at the files to tell which tool wrote them");
                return None;
            }
        };
        let known: Vec<&str> = FormatKind::speaking(speech.dialect).map(FormatKind::as_str).collect();
        let known = known.join(", ");
        let (message, hint) = match candidates.as_slice() {
            [kind] => return Some(FormatChoice::Detected(*kind)),
            // Taking another tool's files for our own would run its down parts with its up parts.
            [] if holds_migrations(&folder.path) => (
                format!("it cannot be told which tool wrote the migrations in {place}"),
                format!("say so with `format`; dbctl knows {known}"),
            ),
            [] => return Some(assumed),
            [first, ..] => {
                let names: Vec<String> = candidates.iter().map(|kind| format!("`{kind}`")).collect();
                let names = names.join(" or ");
                (format!("the migrations in {place} may be {names}"), format!("say which: `format: {first}`"))
            }
        };
        self.deferred.at(span, message).hint(hint);
        None
    }

    fn seeds(&mut self, raw: &raw::Seeds, viewer: Viewer<'_>) -> Option<Seeds> {
        let relative = self.path(&raw.path, viewer.unwrap_or(Path::new("")), viewer);
        let mut runners = BTreeMap::new();
        for (extension, command) in &raw.runners {
            self.check_extension(extension);
            // References are left to the shell: what it is given shows in the list of processes and in errors.
            let value = &command.value;
            if !value.contains("{file}") {
                self.problems
                    .at(command.span, "the command does not say where the seed file goes")
                    .hint("write `{file}` in its place, such as \"npx tsx {file}\"");
            }
            runners.insert(extension.text.clone(), value.clone());
        }
        let relative = relative?;
        Some(Seeds {
            path: join(self.root, &relative),
            shown: relative,
            skip_in: raw.skip_in.iter().map(|name| name.value.clone()).collect(),
            runners,
            declared: raw.path.span,
        })
    }

    fn hooks(&mut self, hooks: &[(Hook, Vec<Text>)]) -> Hooks {
        let mut commands = BTreeMap::new();
        for (hook, texts) in hooks {
            for text in texts.iter().filter(|text| text.value.trim().is_empty()) {
                self.problems.at(text.span, format!("the command of `{hook}` is empty"));
            }
            // As those of runners, they are the shell's to expand.
            commands.insert(*hook, texts.iter().map(|text| text.value.clone()).collect());
        }
        Hooks::new(commands)
    }

    fn check_extension(&mut self, extension: &Word) {
        let text = &*extension.text;
        if let Some(bare) = text.strip_prefix('.') {
            self.problems
                .at(extension.span, format!("`{text}`: an extension is written without its dot"))
                .hint(format!("write `{bare}`"));
        } else if ["sql", "csv"].contains(&text) {
            self.problems.at(extension.span, format!("dbctl itself runs `.{text}` seeds"));
        } else if text.is_empty() || text.contains(['/', '\\']) {
            self.problems.at(extension.span, format!("`{text}` is not a file extension"));
        }
    }
}

/// Whether a folder has anything that some tool may run: SQL, or a folder per migration.
fn holds_migrations(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else { return false };
    entries.filter_map(Result::ok).map(|entry| entry.path()).any(|path| {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && (path.is_dir() || path.extension().is_some_and(|extension| extension == "sql"))
    })
}

/// A session setting: words of letters, digits, `_` and `$`, separated by dots.
fn is_setting(name: &str) -> bool {
    name.split('.').all(|word| {
        word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "_$".contains(c))
    })
}

/// Reports keys that surely are one database: no url of their own, one server, one name.
pub(crate) fn check_distinct(
    databases: &BTreeMap<Key, Database>,
    server_of: impl Fn(&Key) -> Option<Option<String>>,
    name_span: impl Fn(&Key) -> Span,
    problems: &mut Problems,
) {
    let mut seen: BTreeMap<(Option<String>, &DatabaseName), &Key> = BTreeMap::new();
    for (key, database) in databases.iter().filter(|(_, database)| database.is_named) {
        let Some(server) = server_of(key) else { continue };
        let place = server.as_ref().map(|server| format!(" on the server `{server}`")).unwrap_or_default();
        if let Some(first) = seen.get(&(server.clone(), &database.name)) {
            problems
                .at(
                    name_span(key),
                    format!("`{first}` and `{key}` are both the database `{}`{place}", database.name),
                )
                .hint("give one of them another `name`, or a `server` or `url` of its own");
        } else {
            seen.insert((server, &database.name), key);
        }
    }
}
