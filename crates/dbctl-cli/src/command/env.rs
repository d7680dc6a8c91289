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
    if console.mode.is_json() {
        let object: BTreeMap<&str, &str> =
            variables.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        console.json(&object)?;
    } else {
        for (name, value) in &variables {
            writeln!(console.out, "{}", line(args.shell, name, value.expose_secret()))?;
        }
        console.out.flush()?;
    }
    Ok(Done::Well)
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
    fn values_mean_nothing_to_the_shell() {
        let value = r#"a'b"c$d\e`f"#;
        assert_eq!(line(Shell::Sh, "X", value), r#"export X='a'\''b"c$d\e`f'"#);
        assert_eq!(line(Shell::Fish, "X", value), r#"set -gx X 'a\'b"c$d\\e`f'"#);
        assert_eq!(line(Shell::Powershell, "X", value), r#"$env:X = 'a''b"c$d\e`f'"#);
        assert_eq!(line(Shell::Dotenv, "X", value), r#"X="a'b\"c\$d\\e`f""#);
    }
}
