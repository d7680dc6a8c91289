//! What a package calls itself.

use std::{fs, path::Path};

/// The name in `package.json`, else the one in `Cargo.toml`; `None` where neither says one.
pub(crate) fn name(folder: &Path) -> Option<String> {
    let npm = fs::read_to_string(folder.join("package.json")).ok().and_then(|text| npm_name(&text));
    npm.or_else(|| fs::read_to_string(folder.join("Cargo.toml")).ok().and_then(|text| cargo_name(&text)))
}

fn npm_name(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    json.get("name")?.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// `name` of the table `[package]`. A package's name holds no character that TOML would escape.
fn cargo_name(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !is_package_header(line)).skip(1);
    lines.by_ref().take_while(|line| !line.starts_with('[')).find_map(|line| {
        let value = line.strip_prefix("name")?.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        value[1..].split(quote).next().filter(|name| !name.is_empty()).map(str::to_owned)
    })
}

fn is_package_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    let inner = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
    inner.is_some_and(|inner| inner.trim() == "package")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npm_names() {
        assert_eq!(npm_name(r#"{"name": "@atriz/core"}"#).as_deref(), Some("@atriz/core"));
        for text in ["", "{", "{}", r#"{"name": 1}"#, r#"{"name": ""}"#, "[]"] {
            assert_eq!(npm_name(text), None, "{text}");
        }
    }

    #[test]
    fn cargo_names() {
        let text =
            "[workspace]\nname = \"no\"\n[package] # it\nedition = \"2024\"\nname = \"atriz-core\" # yes\n";
        assert_eq!(cargo_name(text).as_deref(), Some("atriz-core"));
        assert_eq!(cargo_name("[ package ]\r\nname='x'\r\n").as_deref(), Some("x"));
        for text in
            ["", "[package]\n[lib]\nname = \"no\"\n", "[package]\nname.workspace = true\n", "name = \"no\""]
        {
            assert_eq!(cargo_name(text), None, "{text}");
        }
    }
}
