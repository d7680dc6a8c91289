//! The JSON schema of the manifest, for editors.
//!
//! The types here mirror what [`crate::raw`] reads; a test holds the two together, field by field. They are never
//! filled: the reader wants the place of every value and all problems at once, which derived parsing does not give.

use std::collections::BTreeMap;

use dbctl_migration::FormatKind;
use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema, transform::RecursiveTransform,
};

/// The JSON schema of the manifest (draft 7, which editors know best).
pub fn schema() -> serde_json::Value {
    let settings = SchemaSettings::draft07().with_transform(RecursiveTransform(unwrap_description));
    settings.into_generator().into_root_schema_for::<Manifest>().to_value()
}

/// The lines of a comment are no lines of the description.
fn unwrap_description(schema: &mut Schema) {
    if let Some(serde_json::Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

/// The databases of a repository, what each depends on, and where they live.
#[derive(JsonSchema)]
#[schemars(title = "dbctl workspace", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Manifest {
    /// The name of the workspace: letters, digits, `.`, `_` and `-`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    workspace: String,
    /// Files of `NAME=value` lines, relative to this file. Later files win over earlier ones, a package's own `.env`
    /// over these, the process environment over all. Missing files are passed over.
    #[schemars(extend("default" = [".env"]))]
    env_files: Option<Vec<String>>,
    /// Servers by name. Without any, dbctl uses libpq's own settings where `PGHOST` or `PGSERVICE` is set,
    /// else a private server that it starts itself.
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}))]
    servers: Option<BTreeMap<String, Option<Server>>>,
    /// The databases, by the key that people type.
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}, "minProperties" = 1))]
    databases: BTreeMap<String, Option<Database>>,
    /// Environments by name, chosen by `--env`, else `DBCTL_ENV`, else `NODE_ENV`, else `development`.
    /// `development` and `test` need no declaration.
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}))]
    environments: Option<BTreeMap<String, Option<Environment>>>,
}

/// A PostgreSQL server, or a folder of SQLite databases.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Server {
    /// Where it is, such as `${DATABASE_SERVER_URL}`: `postgres://user@host:5432` or a keyword string. Where it comes
    /// to nothing, libpq's own settings are used if there are any, else the embedded server.
    url: Option<String>,
    /// Who creates and drops databases, where that is another role or host.
    admin_url: Option<String>,
    /// A way past a connection pooler, for everything that needs a session.
    direct_url: Option<String>,
    /// `transaction` says that the url leads to a pooler which gives a session for one transaction only, and that there
    /// is no way past it; `none` takes that back in an environment.
    #[schemars(schema_with = "pooler", default)]
    pooler: Option<String>,
    /// dbctl never opens more connections to this server at once.
    #[schemars(range(min = 1))]
    max_connections: Option<usize>,
    /// A private server that dbctl starts on demand.
    #[schemars(extend("default" = false))]
    embedded: Option<bool>,
    /// The major version of an embedded server, such as "17". The newest that is found where left out.
    #[schemars(schema_with = "major", default)]
    postgres: Option<String>,
    /// No server, but a folder of SQLite databases, relative to this file: each is the file of its name in it, with the
    /// extension `.db`.
    sqlite: Option<String>,
}

/// A database and who owns it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Database {
    /// What the server calls the database. The key where left out.
    name: Option<String>,
    /// Folder of the package that owns the database, relative to this file. Paths below are relative to it.
    package: Option<String>,
    /// Keys of the databases that must be there first.
    depends_on: Option<Vec<String>>,
    /// For targets such as `tag:app`.
    tags: Option<Vec<String>>,
    /// The server it lives on. The only server declared where left out.
    server: Option<String>,
    /// Where the database is, over what its server says: `postgres://…`, or the file of a SQLite database such as
    /// `sqlite:data/app.db`, relative to the package. Variables of the package's own `.env` are seen here.
    url: Option<String>,
    /// Who creates and drops this database, over what its server says.
    admin_url: Option<String>,
    /// A way to this database past a connection pooler, over what its server says.
    direct_url: Option<String>,
    /// What stands between dbctl and this database, over what its server says: `transaction` or `none`.
    #[schemars(schema_with = "pooler", default)]
    pooler: Option<String>,
    /// Role that owns the database.
    owner: Option<String>,
    /// Migration folders, in the order in which they run.
    migrations: Option<Vec<Source>>,
    /// Data that a fresh database starts with.
    seeds: Option<Seeds>,
    /// Extensions created with the database.
    extensions: Option<Vec<String>>,
    /// Session settings that migrations and seeds may rely on.
    #[schemars(schema_with = "settings", default)]
    settings: Option<BTreeMap<String, String>>,
    /// How `dbctl clean` treats this database.
    clean: Option<Clean>,
    /// Shell commands that run in the package's folder before and after what is done to the database: one each, or a list.
    hooks: Option<Hooks>,
    /// Variables that `dbctl env` and `dbctl exec` set besides `DATABASE_URL`, and the key of the database whose URL each
    /// one holds.
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}))]
    env: Option<BTreeMap<String, Option<String>>>,
}

/// One migration folder.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Source {
    /// The folder, relative to the package.
    path: String,
    /// The tool whose files these are. Detected where left out.
    #[schemars(schema_with = "format", default)]
    format: Option<String>,
    /// One file that a new database gets in place of the migrations that it holds.
    baseline: Option<Baseline>,
    /// Schema of the tool's history table, where it is not the tool's default.
    schema: Option<String>,
    /// Name of the tool's history table, where it is not the tool's default.
    table: Option<String>,
    /// How a home-grown runner names its files, such as `V{version}__{name}.sql`. `{version}_{name}.sql` where left out.
    pattern: Option<String>,
    /// Column of a home-grown runner's table that says which migration a row is. `name` where left out.
    name_column: Option<String>,
    /// Column of a home-grown runner's table that is set to the time. Where left out, its default counts.
    applied_column: Option<String>,
    /// What the first row of a home-grown runner's empty table holds; others are like the last one. `name` where left
    /// out.
    #[schemars(schema_with = "records", default)]
    records: Option<String>,
}

/// A file that stands for the past of a migration folder. It runs on a database that is empty, and what it holds is
/// recorded as applied; a database that has a history never sees it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Baseline {
    /// The file, relative to the package: a migration of the folder, or any file of plain SQL.
    file: String,
    /// The last migration that it holds, by version, name or file name; `none` for a migration that holds no other.
    #[schemars(schema_with = "through")]
    through: String,
}

/// A folder of seed files, which run in byte order of their names.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Seeds {
    /// The folder, relative to the package.
    path: String,
    /// Environments in which seeds are skipped.
    skip_in: Option<Vec<String>>,
    /// Commands that run seed files which are neither `.sql` nor `.csv`, by extension; `{file}` is the file.
    runners: Option<BTreeMap<String, Option<String>>>,
}

/// How `dbctl clean` treats a database.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Clean {
    /// Tables that keep their rows.
    keep: Option<Vec<String>>,
}

/// Shell commands around what is done to a database. They see it as seed runners do.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Hooks {
    /// Before a database that is missing is created.
    #[schemars(schema_with = "commands", default)]
    before_create: Option<Vec<String>>,
    /// After the database was created.
    #[schemars(schema_with = "commands", default)]
    after_create: Option<Vec<String>>,
    /// Before pending migrations are applied.
    #[schemars(schema_with = "commands", default)]
    before_migrate: Option<Vec<String>>,
    /// After migrations were applied.
    #[schemars(schema_with = "commands", default)]
    after_migrate: Option<Vec<String>>,
    /// Before seeds run.
    #[schemars(schema_with = "commands", default)]
    before_seed: Option<Vec<String>>,
    /// After seeds ran.
    #[schemars(schema_with = "commands", default)]
    after_seed: Option<Vec<String>>,
    /// Before the tables are emptied.
    #[schemars(schema_with = "commands", default)]
    before_clean: Option<Vec<String>>,
    /// After the tables were emptied.
    #[schemars(schema_with = "commands", default)]
    after_clean: Option<Vec<String>>,
}

/// What is different in one environment.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Environment {
    /// Whether commands that destroy need `--allow-protected` with the environment's name, and seeds are skipped.
    #[schemars(extend("default" = false))]
    protected: Option<bool>,
    /// Fields of servers, over those declared under `servers`.
    servers: Option<BTreeMap<String, Option<Server>>>,
    /// Fields of databases, over those declared under `databases`.
    databases: Option<BTreeMap<String, Option<Database>>>,
}

fn format(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = FormatKind::names().into_iter().map(Some).chain([None]).collect();
    json_schema!({ "type": ["string", "null"], "enum": names })
}

fn through(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "integer"], "minLength": 1 })
}

fn records(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "enum": ["name", "file", "version", null] })
}

fn pooler(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "enum": ["transaction", "none", null] })
}

fn commands(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "array", "null"], "minLength": 1, "items": { "type": "string", "minLength": 1 } })
}

fn major(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "integer", "null"], "pattern": "^[1-9][0-9]$", "minimum": 10, "maximum": 99 })
}

fn settings(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::Value;

    use super::*;
    use crate::raw;

    /// The fields of a definition, and that nothing else is allowed beside them.
    fn fields(definition: &Value) -> Vec<&str> {
        assert_eq!(definition["additionalProperties"], false);
        let properties = definition["properties"].as_object().unwrap();
        for (name, property) in properties {
            assert!(property["description"].is_string(), "{name} has no description");
        }
        let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn schema_and_reader_know_the_same_fields() {
        let schema = schema();
        let definitions = &schema["definitions"];
        for (definition, known) in [
            (&schema, raw::MANIFEST),
            (&definitions["Server"], raw::SERVER),
            (&definitions["Database"], raw::DATABASE),
            (&definitions["Source"], raw::SOURCE),
            (&definitions["Baseline"], raw::BASELINE),
            (&definitions["Seeds"], raw::SEEDS),
            (&definitions["Clean"], raw::CLEAN),
            (&definitions["Hooks"], raw::HOOKS),
            (&definitions["Environment"], raw::ENVIRONMENT),
        ] {
            let mut known = known.to_vec();
            known.sort_unstable();
            assert_eq!(fields(definition), known);
        }
        assert_eq!(definitions.as_object().unwrap().len(), 8);
    }

    #[test]
    fn only_what_the_reader_misses_is_required() {
        let schema = schema();
        assert_eq!(schema["required"], serde_json::json!(["workspace", "databases"]));
        for (name, definition) in schema["definitions"].as_object().unwrap() {
            let required = definition["required"].as_array().map_or(&[][..], Vec::as_slice);
            let expected: &[&str] = match name.as_str() {
                "Source" | "Seeds" => &["path"],
                "Baseline" => &["file", "through"],
                _ => &[],
            };
            assert_eq!(required, expected, "{name}");
        }
    }

    #[test]
    fn committed_schema_is_the_generated_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/workspace.schema.json");
        let generated = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        assert!(
            committed == generated,
            "{} is stale: run the tests of this crate once with UPDATE_SCHEMA=1",
            path.display()
        );
    }
}
