//! `dbctl env`: the one place, with `server url`, where a password is printed.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::child;
use crate::{
    cli::{EnvArgs, Shell},
    console::Console,
    context::Context,
    error::CliError,
    exit::Done,
};

pub(super) async fn run(
    args: &EnvArgs,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let key = context.select_one(args.target.as_deref())?;
    let variables = child::variables(context, &key).await?;
    context.say_what_started(console)?;
    if console.mode.is_json() {
        let object: BTreeMap<&str, &str> =
            variables.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        console.json(&object)?;
    } else {
        for (name, value) in &variables {
            if !can_hold(args.shell, name) {
                let warning = console.mode.err.yellow("warning:");
                writeln!(
                    console.err,
                    "{warning} `{name}` is left out: a shell has no variable of that name"
                )?;
                continue;
            }
            writeln!(console.out, "{}", line(args.shell, name, value.expose_secret()))?;
        }
        console.out.flush()?;
    }
    Ok(Done::Well)
}

/// Whether a variable can have that name there. The names of env files may hold dots.
fn can_hold(shell: Shell, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match shell {
        Shell::Sh | Shell::Fish | Shell::Powershell => {
            name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
        }
        Shell::Dotenv => true,
    }
}

/// A variable, quoted for a shell so that nothing in its value means anything there.
fn line(shell: Shell, name: &str, value: &str) -> String {
    match shell {
        Shell::Sh => format!("export {name}='{}'", value.replace('\'', r"'\''")),
        Shell::Fish => format!("set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
        Shell::Powershell => format!("$env:{name} = '{}'", value.replace('\'', "''")),
        Shell::Dotenv => {
            let value =
                value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('\n', r"\n");
            format!("{name}=\"{value}\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_shell_takes_are_left_out() {
        for (name, held) in [("PGHOST", true), ("_a1", true), ("A.B", false), ("1A", false), ("A-B", false)] {
            assert_eq!(can_hold(Shell::Sh, name), held, "{name}");
            assert!(can_hold(Shell::Dotenv, name));
        }
    }

    #[test]
    fn values_mean_nothing_to_the_shell() {
        let value = r#"a'b"c$d\e`f"#;
        assert_eq!(line(Shell::Sh, "X", value), r#"export X='a'\''b"c$d\e`f'"#);
        assert_eq!(line(Shell::Fish, "X", value), r#"set -gx X 'a\'b"c$d\\e`f'"#);
        assert_eq!(line(Shell::Powershell, "X", value), r#"$env:X = 'a''b"c$d\e`f'"#);
        assert_eq!(line(Shell::Dotenv, "X", value), r#"X="a'b\"c\$d\\e`f""#);
    }
}
