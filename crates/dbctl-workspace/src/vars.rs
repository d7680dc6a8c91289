//! The variables a manifest sees: the process environment over a package's `.env` over the env files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Env, env_file,
    interpolate::{TemplateErrorKind, Unset, interpolate},
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
    files: BTreeMap<String, String>,
    /// By the package's folder relative to the root.
    packages: BTreeMap<PathBuf, BTreeMap<String, String>>,
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
        let package = viewer.and_then(|package| self.packages.get(package)).and_then(|vars| vars.get(name));
        self.process.get(name).or_else(|| package.or_else(|| self.files.get(name)).map(String::as_str))
    }

    /// What env files set and the process does not.
    pub(crate) fn beyond_process(&self, viewer: Viewer<'_>) -> BTreeMap<String, String> {
        let mut vars = self.files.clone();
        vars.extend(viewer.and_then(|package| self.packages.get(package)).cloned().unwrap_or_default());
        vars.retain(|name, _| self.process.get(name).is_none());
        vars
    }

    pub(crate) fn all(&self, viewer: Viewer<'_>) -> BTreeMap<String, String> {
        let mut vars = self.beyond_process(viewer);
        vars.extend(self.process.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        vars
    }

    fn names(&self, viewer: Viewer<'_>) -> BTreeSet<&str> {
        let package = viewer.and_then(|package| self.packages.get(package));
        let files = self.files.keys().chain(package.into_iter().flat_map(BTreeMap::keys));
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

    /// Reads a package's own `.env`, once. One that does not exist is passed over.
    pub(crate) fn add_package(&mut self, root: &Path, package: &Path) -> Result<(), String> {
        if self.packages.contains_key(package) {
            return Ok(());
        }
        let vars = self.read_implicit(root, &package.join(".env"));
        self.packages.insert(package.to_owned(), vars.as_ref().ok().cloned().flatten().unwrap_or_default());
        vars.map(|_| ())
    }

    /// A file that nobody named: a folder of that name (some keep their Python there) is not it.
    fn read_implicit(&self, root: &Path, shown: &Path) -> Result<Option<BTreeMap<String, String>>, String> {
        if join(root, shown).is_dir() { Ok(None) } else { self.read(root, shown) }
    }

    fn read(&self, root: &Path, shown: &Path) -> Result<Option<BTreeMap<String, String>>, String> {
        let path = join(root, shown);
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
            .map(Some)
            .map_err(|error| format!("{shown}:{}: {}", error.line, error.message))
    }

    /// Evaluates a text of the manifest; a reference that has no value becomes a problem at its place.
    pub(crate) fn evaluate(
        &self,
        text: &Text,
        viewer: Viewer<'_>,
        problems: &mut Problems,
    ) -> Option<String> {
        let lookup = |name: &str| self.get(viewer, name).map(str::to_owned);
        let error = match interpolate(&text.value, Unset::Error, &lookup) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let hint = match &error.kind {
            TemplateErrorKind::Unset(name) => Some(self.unset_hint(name, viewer)),
            TemplateErrorKind::Required { .. } => None,
            TemplateErrorKind::Name(_) | TemplateErrorKind::Sign { .. } => {
                Some("a reference is `${VAR}`, `${VAR:-default}` or `${VAR:?message}`".to_owned())
            }
            TemplateErrorKind::Unterminated => Some("a dollar sign itself is `$$`".to_owned()),
            TemplateErrorKind::Depth => None,
        };
        problems.at(text.part(error.at), error.kind.to_string()).maybe_hint(hint);
        None
    }

    fn unset_hint(&self, name: &str, viewer: Viewer<'_>) -> String {
        let elsewhere = self.packages.iter().find(|(_, vars)| vars.contains_key(name));
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
