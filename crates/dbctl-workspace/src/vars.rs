//! The variables a manifest sees: the process environment over a package's `.env` over the env files.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Env,
    env_file::{self, Line},
    interpolate::{TemplateError, TemplateErrorKind, Unset, has_references, interpolate},
    paths::join,
    problem::Problems,
    suggest::nearest,
    yaml::Text,
};

/// The largest env file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// All variables. `Debug` shows none of them.
#[derive(Clone, Default)]
pub(crate) struct Vars {
    process: Env,
    files: BTreeMap<String, Set>,
    /// By the package's folder relative to the root; what is wrong with the package's `.env` where it cannot be read.
    packages: BTreeMap<PathBuf, Result<BTreeMap<String, Set>, String>>,
}

/// A variable of an env file.
#[derive(Clone)]
struct Set {
    value: String,
    place: VarPlace,
}

/// Where a variable was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VarPlace {
    /// In the environment of the process.
    Process,
    /// In an env file.
    File {
        /// Relative to the workspace.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

impl fmt::Display for VarPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("the environment"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vars").finish_non_exhaustive()
    }
}

/// Who looks: a package sees its own `.env`, the workspace and its servers do not.
pub(crate) type Viewer<'p> = Option<&'p Path>;

impl Vars {
    pub(crate) fn new(process: Env) -> Self {
        Self { process, files: BTreeMap::new(), packages: BTreeMap::new() }
    }

    pub(crate) fn get(&self, viewer: Viewer<'_>, name: &str) -> Option<&str> {
        self.process.get(name).or_else(|| self.in_files(viewer, name).map(|set| set.value.as_str()))
    }

    /// Where [`Vars::get`] has a value from.
    pub(crate) fn place(&self, viewer: Viewer<'_>, name: &str) -> Option<VarPlace> {
        match self.process.get(name) {
            Some(_) => Some(VarPlace::Process),
            None => self.in_files(viewer, name).map(|set| set.place.clone()),
        }
    }

    fn in_files(&self, viewer: Viewer<'_>, name: &str) -> Option<&Set> {
        self.package(viewer).and_then(|vars| vars.get(name)).or_else(|| self.files.get(name))
    }

    fn package(&self, viewer: Viewer<'_>) -> Option<&BTreeMap<String, Set>> {
        self.packages.get(viewer?)?.as_ref().ok()
    }

    /// What is wrong with the package's own `.env`.
    pub(crate) fn trouble(&self, viewer: Viewer<'_>) -> Option<&str> {
        self.packages.get(viewer?)?.as_ref().err().map(String::as_str)
    }

    /// What env files set and the process does not.
    pub(crate) fn beyond_process(&self, viewer: Viewer<'_>) -> BTreeMap<String, String> {
        let files = self.files.iter().chain(self.package(viewer).into_iter().flatten());
        files
            .filter(|(name, _)| self.process.get(name).is_none())
            .map(|(name, set)| (name.clone(), set.value.clone()))
            .collect()
    }

    pub(crate) fn all(&self, viewer: Viewer<'_>) -> BTreeMap<String, String> {
        let mut vars = self.beyond_process(viewer);
        vars.extend(self.process.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        vars
    }

    fn names(&self, viewer: Viewer<'_>) -> BTreeSet<&str> {
        let files = self.files.keys().chain(self.package(viewer).into_iter().flat_map(BTreeMap::keys));
        self.process.iter().map(|(name, _)| name).chain(files.map(String::as_str)).collect()
    }

    /// Adds an env file over those before it. One that does not exist is passed over.
    pub(crate) fn add_file(&mut self, root: &Path, shown: &Path) -> Result<(), String> {
        let vars = self.read(root, shown)?;
        self.files.extend(vars.unwrap_or_default());
        Ok(())
    }

    /// Adds the workspace's `.env`.
    pub(crate) fn add_default_file(&mut self, root: &Path) -> Result<(), String> {
        let vars = self.read_implicit(root, Path::new(".env"))?;
        self.files.extend(vars.unwrap_or_default());
        Ok(())
    }

    /// Reads a package's own `.env`, once. One that does not exist is passed over, one that cannot be read is
    /// [`Vars::trouble`].
    pub(crate) fn add_package(&mut self, root: &Path, package: &Path) {
        if !self.packages.contains_key(package) {
            let vars = self.read_implicit(root, &package.join(".env")).map(Option::unwrap_or_default);
            self.packages.insert(package.to_owned(), vars);
        }
    }

    /// A file that nobody named: a folder of that name (some keep their Python there) is not it.
    fn read_implicit(&self, root: &Path, shown: &Path) -> Result<Option<BTreeMap<String, Set>>, String> {
        if join(root, shown).is_dir() { Ok(None) } else { self.read(root, shown) }
    }

    fn read(&self, root: &Path, shown: &Path) -> Result<Option<BTreeMap<String, Set>>, String> {
        let path = join(root, shown);
        let file = shown;
        let shown = shown.display();
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {shown}: {error}")),
        };
        let outer = |name: &str| self.get(None, name).map(str::to_owned);
        // The process wins over a file, a line of the file wins over the files before it.
        let process = |name: &str| self.process.get(name).map(str::to_owned);
        env_file::parse(&text, &process, &outer)
            .map(|vars| {
                let set = |Line { value, line }| Set {
                    value,
                    place: VarPlace::File { path: file.to_owned(), line },
                };
                Some(vars.into_iter().map(|(name, line)| (name, set(line))).collect())
            })
            .map_err(|error| format!("{shown}:{}: {}", error.line, error.message))
    }

    /// Whether the references of a text are well formed, whatever they come to; a problem where they are not.
    pub(crate) fn is_well_formed(&self, text: &Text, problems: &mut Problems) -> bool {
        let result = interpolate(&text.value, Unset::Error, &|_| Some("set".to_owned()));
        if let Err(error) = &result {
            self.report(text, error, None, problems);
        }
        result.is_ok()
    }

    /// Evaluates a text of the manifest; a reference that has no value becomes a problem at its place. Where the
    /// package's `.env` is in [trouble](Vars::trouble), nobody knows what a reference comes to.
    pub(crate) fn evaluate(
        &self,
        text: &Text,
        viewer: Viewer<'_>,
        problems: &mut Problems,
    ) -> Option<String> {
        if self.trouble(viewer).is_some() && has_references(&text.value) {
            return None;
        }
        let lookup = |name: &str| self.get(viewer, name).map(str::to_owned);
        match interpolate(&text.value, Unset::Error, &lookup) {
            Ok(value) => Some(value),
            Err(error) => {
                self.report(text, &error, viewer, problems);
                None
            }
        }
    }

    /// The variables that a text of the manifest gets its value from, and where each was set.
    pub(crate) fn used_by(&self, text: &Text, viewer: Viewer<'_>) -> Vec<(String, VarPlace)> {
        let used = RefCell::new(Vec::new());
        let lookup = |name: &str| {
            let value = self.get(viewer, name)?;
            let place = self.place(viewer, name)?;
            let mut used = used.borrow_mut();
            if !value.is_empty() && !used.iter().any(|(one, _)| one == name) {
                used.push((name.to_owned(), place));
            }
            Some(value.to_owned())
        };
        // What it comes to has been evaluated already.
        let _ = interpolate(&text.value, Unset::Empty, &lookup);
        used.into_inner()
    }

    fn report(&self, text: &Text, error: &TemplateError, viewer: Viewer<'_>, problems: &mut Problems) {
        let hint = match &error.kind {
            TemplateErrorKind::Unset(name) => Some(self.unset_hint(name, viewer)),
            TemplateErrorKind::Required { .. } => None,
            TemplateErrorKind::Name(_) | TemplateErrorKind::Sign { .. } => {
                Some("a reference is `${VAR}`, `${VAR:-default}` or `${VAR:?message}`".to_owned())
            }
            TemplateErrorKind::Unterminated => Some("a dollar sign itself is `$$`".to_owned()),
            TemplateErrorKind::Depth | TemplateErrorKind::TooLong => None,
        };
        problems.at(text.part(error.at.clone()), error.kind.to_string()).maybe_hint(hint);
    }

    fn unset_hint(&self, name: &str, viewer: Viewer<'_>) -> String {
        let sets = |vars: &Result<BTreeMap<String, Set>, String>| {
            vars.as_ref().is_ok_and(|vars| vars.contains_key(name))
        };
        let elsewhere = self.packages.iter().find(|(_, vars)| sets(vars));
        if let (None, Some((package, _))) = (viewer, elsewhere) {
            let file = package.join(".env");
            return format!(
                "{} sets it, but only the databases of that package see that; set it in the workspace's env file, or give the database a `url`",
                file.display()
            );
        }
        match nearest(name, self.names(viewer)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("set it in the environment or in an env file, or give a default: `${{{name}:-…}}`")
            }
        }
    }
}

/// A text file of bounded size.
fn read_text(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_BYTES / 1024 / 1024)));
    }
    String::from_utf8(fs::read(path)?).map_err(|_| io::Error::other("it is not UTF-8"))
}
