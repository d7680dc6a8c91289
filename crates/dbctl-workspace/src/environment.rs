//! Which environment a command runs in.

use crate::{Env, Environment, problem::Problems, raw, suggest::did_you_mean};

/// Environments that need no declaration.
pub(crate) const BUILT_IN: [&str; 2] = ["development", "test"];

/// `--env`, else `DBCTL_ENV`, else `NODE_ENV`, else `development`. Env files have no say.
pub(crate) fn choose<'m>(
    flag: Option<&str>,
    env: &Env,
    manifest: &'m raw::Manifest,
    problems: &mut Problems,
) -> (Environment, Option<&'m raw::Environment>) {
    let (name, said_by) =
        flag.map(|name| (name, "--env")).or_else(|| named(env)).unwrap_or(("development", "default"));
    let declared = manifest.environments.iter().find(|(word, _)| word.text == name).map(|(_, raw)| raw);
    if declared.is_none() && !BUILT_IN.contains(&name) {
        let known = names(manifest);
        let hint = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| {
            format!("declare it under `environments`, or use one of: {}", known.join(", "))
        });
        problems.nowhere(format!("the environment `{name}` (from {said_by}) is not declared")).hint(hint);
    }
    let protected = declared.is_some_and(|declared| declared.protected);
    (Environment { name: name.to_owned(), protected }, declared)
}

/// What the variables say, and which of them it is.
pub(crate) fn named(env: &Env) -> Option<(&str, &'static str)> {
    let variable =
        |name: &'static str| env.get(name).filter(|value| !value.is_empty()).map(|value| (value, name));
    variable("DBCTL_ENV").or_else(|| variable("NODE_ENV"))
}

/// All that may be chosen.
pub(crate) fn names(manifest: &raw::Manifest) -> Vec<&str> {
    let declared = manifest.environments.iter().map(|(word, _)| &*word.text);
    let mut names: Vec<&str> = declared.chain(BUILT_IN).collect();
    names.sort_unstable();
    names.dedup();
    names
}
