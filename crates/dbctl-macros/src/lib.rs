//! The macro `migrations!` of the crate `dbctl`.

use std::{
    env,
    fmt::Write,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use dbctl_migration::{Dialect, Files, Folder, FormatErrors, FormatKind, Record, Seen, SourceOptions};
use litrs::StringLit;
use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Embeds a migration folder into the program; see the crate `dbctl`.
#[proc_macro]
pub fn migrations(input: TokenStream) -> TokenStream {
    match embed(input) {
        Ok(tokens) => tokens,
        Err(Wrong { message, span }) => compile_error(&message, span),
    }
}

/// What is wrong, and with what.
struct Wrong {
    message: String,
    span: Span,
}

impl Wrong {
    fn new(message: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), span }
    }
}

/// What was written between the parentheses.
struct Arguments {
    path: String,
    span: Span,
    name: Option<String>,
    format: Option<(String, Span)>,
    options: Vec<(String, String, Span)>,
}

impl Arguments {
    /// A path, then settings as `name = "value"`, with commas in between.
    fn parse(input: TokenStream) -> Result<Self, Wrong> {
        let here = Span::call_site();
        let mut tokens = input.into_iter();
        let (path, span) = text(tokens.next(), "the path of a migration folder", here)?;
        let mut arguments = Self { path, span, name: None, format: None, options: Vec::new() };
        loop {
            match tokens.next() {
                None => return Ok(arguments),
                Some(TokenTree::Punct(punct)) if punct.as_char() == ',' => {}
                Some(other) => return Err(Wrong::new("expected a comma", other.span())),
            }
            let (setting, at) = match tokens.next() {
                None => return Ok(arguments),
                Some(TokenTree::Ident(setting)) => (setting.to_string(), setting.span()),
                Some(other) => {
                    return Err(Wrong::new("expected a setting, such as `format = \"sqlx\"`", other.span()));
                }
            };
            match tokens.next() {
                Some(TokenTree::Punct(punct)) if punct.as_char() == '=' => {}
                _ => return Err(Wrong::new(format!("expected `=` after `{setting}`"), at)),
            }
            let (value, span) = text(tokens.next(), &format!("the value of `{setting}`"), at)?;
            match &*setting {
                "format" => arguments.format = Some((value, span)),
                "name" => arguments.name = Some(value),
                _ => arguments.options.push((setting, value, at)),
            }
        }
    }
}

fn text(token: Option<TokenTree>, what: &str, at: Span) -> Result<(String, Span), Wrong> {
    let Some(token) = token else { return Err(Wrong::new(format!("{what} is missing"), at)) };
    let span = token.span();
    match StringLit::try_from(&token) {
        Ok(text) => Ok((text.value().to_owned(), span)),
        Err(_) => Err(Wrong::new(format!("{what} has to be a string"), span)),
    }
}

fn embed(input: TokenStream) -> Result<TokenStream, Wrong> {
    let arguments = Arguments::parse(input)?;
    let Arguments { path, span, .. } = &arguments;
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let absolute = plain(&package.join(path));
    if !absolute.is_dir() {
        let message =
            format!("the migration folder {path} does not exist (looked for {})", absolute.display());
        return Err(Wrong::new(message, *span));
    }
    let kind = kind(&arguments, &absolute)?;
    let options = options(&arguments, kind)?;
    let record = Arc::new(Record::default());
    let shown = PathBuf::from(path);
    let folder = Folder { path: absolute.clone(), shown, files: Files::Recorded(Arc::clone(&record)) };
    read(kind, &folder, options)
        .map_err(|errors| Wrong::new(format!("the migration folder {path} is invalid:\n{errors}"), *span))?;
    let seen = record.seen();
    let root = common(seen.keys().map(PathBuf::as_path).chain([&*absolute]));
    Ok(expression(&arguments, kind, &tree(seen, &root), &spelled(&absolute, &root)))
}

/// Which database it is for, the application says when it runs: what is wrong for every kind is wrong now.
fn read(kind: FormatKind, folder: &Folder, options: SourceOptions) -> Result<(), FormatErrors> {
    let read = |dialect| {
        let options = SourceOptions { dialect, ..options.clone() };
        kind.open(folder, &options).read(folder).map(drop)
    };
    let wrong = read(Dialect::Postgres);
    if wrong.is_err() && kind.speaks(Dialect::Sqlite) && read(Dialect::Sqlite).is_ok() {
        return Ok(());
    }
    wrong
}

fn kind(arguments: &Arguments, folder: &Path) -> Result<FormatKind, Wrong> {
    let known = FormatKind::names().join(", ");
    if let Some((format, span)) = &arguments.format {
        let message = || format!("there is no format `{format}`; dbctl knows {known}");
        return FormatKind::parse(format).ok_or_else(|| Wrong::new(message(), *span));
    }
    let path = &arguments.path;
    let found = FormatKind::detect(folder)
        .map_err(|error| Wrong::new(format!("cannot read {path}: {error}"), arguments.span))?;
    match found[..] {
        [kind] => Ok(kind),
        [] => Err(Wrong::new(
            format!("it cannot be told whose migrations {path} holds; say it with `format = \"…\"`: {known}"),
            arguments.span,
        )),
        _ => {
            let names: Vec<_> = found.iter().map(|kind| kind.as_str()).collect();
            let message =
                format!("{path} could be of {}: say which with `format = \"…\"`", names.join(" or of "));
            Err(Wrong::new(message, arguments.span))
        }
    }
}

fn options(arguments: &Arguments, kind: FormatKind) -> Result<SourceOptions, Wrong> {
    let mut options = SourceOptions::default();
    for (name, value, span) in &arguments.options {
        let takes = kind.options();
        let field = options.field(name).filter(|_| takes.contains(&&**name)).ok_or_else(|| {
            let mut all = vec!["format", "name"];
            all.extend(takes);
            Wrong::new(format!("there is no setting `{name}`; {kind} takes {}", all.join(", ")), *span)
        })?;
        *field = Some(value.clone());
    }
    kind.check(&options).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Wrong::new(format!("`{}`: {}{hint}", error.option, error.message), arguments.span)
    })?;
    Ok(options)
}

/// Without `.` and `..`, which are taken as they are written.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
    }
    plain
}

/// The lowest folder above all of them, or one of them.
fn common<'p>(mut paths: impl Iterator<Item = &'p Path>) -> PathBuf {
    let Some(first) = paths.next() else { return PathBuf::new() };
    paths.fold(first.to_owned(), |common, path| {
        let shared = common.components().zip(path.components()).take_while(|(one, other)| one == other);
        shared.map(|(component, _)| component).collect()
    })
}

fn spelled(path: &Path, root: &Path) -> String {
    let rest = path.strip_prefix(root).unwrap_or(path);
    rest.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The paths in the tree in its order, and which file each is to hold.
fn tree(seen: impl IntoIterator<Item = (PathBuf, Seen)>, root: &Path) -> Vec<(String, Option<PathBuf>)> {
    let mut tree: Vec<(String, Option<PathBuf>)> = seen
        .into_iter()
        .map(|(path, seen)| {
            let name = spelled(&path, root);
            match seen {
                Seen::Folder => (format!("{name}/"), None),
                Seen::Name => (name, None),
                Seen::File => (name, Some(path)),
            }
        })
        .collect();
    tree.sort();
    tree
}

/// `::dbctl::Migrations::embedded(name, format, &[(option, value)], folder, shown, &[(path, bytes)])`.
fn expression(
    arguments: &Arguments,
    kind: FormatKind,
    tree: &[(String, Option<PathBuf>)],
    folder: &str,
) -> TokenStream {
    let quoted = |text: &str| Literal::string(text).to_string();
    let mut code = String::from("::dbctl::Migrations::embedded(");
    let name = arguments.name.as_ref().unwrap_or(&arguments.path);
    let _ = write!(code, "{}, {}, &[", quoted(name), quoted(kind.as_str()));
    for (option, value, _) in &arguments.options {
        let _ = write!(code, "({}, {}),", quoted(option), quoted(value));
    }
    let _ = write!(code, "], {}, {}, &[", quoted(&format!("/{folder}")), quoted(&arguments.path));
    for (path, file) in tree {
        let _ = match file {
            // The compiler knows by it that the program depends on the file.
            Some(file) => write!(
                code,
                "({}, ::core::include_bytes!({}) as &[u8]),",
                quoted(path),
                quoted(&file.to_string_lossy())
            ),
            None => write!(code, "({}, b\"\" as &[u8]),", quoted(path)),
        };
    }
    code.push_str("])");
    code.parse().unwrap_or_else(|_| compile_error("the migration folder cannot be embedded", arguments.span))
}

fn compile_error(message: &str, span: Span) -> TokenStream {
    let spanned = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    let message = TokenStream::from(spanned(Literal::string(message).into()));
    [
        spanned(Ident::new("compile_error", span).into()),
        spanned(Punct::new('!', Spacing::Alone).into()),
        spanned(Group::new(Delimiter::Brace, message).into()),
    ]
    .into_iter()
    .collect()
}
