//! The monorepo that dbctl was made for.

use dbctl_workspace::{Key, Way};

use crate::support::{Site, key};

const MANIFEST: &str = r#"
# yaml-language-server: $schema=./schemas/workspace.schema.json
workspace: atriz
env_files: [.env]

databases:
  core:
    name: atriz_shared
    package: packages/core
    migrations: [{ path: migrations, format: node-pg-migrate }]
    seeds: { path: seeds, skip_in: [production], runners: { ts: "npx tsx scripts/run-seed.ts {file}" } }
    extensions: [pgcrypto]
    settings: { app.tenant: "none" }
    clean: { keep: [roles] }
  mextrack:
    name: mextrack_db
    package: apps/mextrack
    depends_on: [core]
    tags: [app]
    url: ${DATABASE_URL}
    env: { SHARED_DATABASE_URL: core }
    migrations: [{ path: migrations, format: node-pg-migrate }]

environments:
  production:
    protected: true
    databases:
      core: { url: "${SHARED_DATABASE_URL:?set it for production}" }
"#;

fn site() -> Site {
    Site::new(MANIFEST)
        .file(".env", "PGHOST=localhost\nPGPORT=5432\nPGUSER=postgres\nPGPASSWORD=postgres\n")
        .file("packages/core/package.json", r#"{"name": "@atriz/core"}"#)
        .file("packages/core/.env", "NODE_ENV=development\n")
        .file("apps/mextrack/package.json", r#"{"name": "@atriz/mextrack-api"}"#)
        .file(
            "apps/mextrack/.env",
            "DATABASE_URL=postgresql://postgres:postgres@localhost:5432/mextrack_db\nPORT=3000\n",
        )
}

#[test]
fn it_works_in_development() {
    let workspace = site().workspace();
    assert_eq!(workspace.name(), "atriz");
    assert_eq!(workspace.order().iter().map(Key::as_str).collect::<Vec<_>>(), ["core", "mextrack"]);
    assert!(matches!(workspace.locate(&key("core")).unwrap().way, Way::Libpq));
    assert!(matches!(workspace.locate(&key("mextrack")).unwrap().way, Way::Url(_)));
    let mextrack = workspace.database(&key("mextrack"));
    assert_eq!(mextrack.env["SHARED_DATABASE_URL"], key("core"));
}

#[test]
fn production_needs_its_url() {
    let workspace = site().environment("production").workspace();
    assert!(workspace.environment().protected);
    let error = workspace.locate(&key("core")).unwrap_err();
    assert_eq!(error.problems[0].message, "set it for production (`SHARED_DATABASE_URL` is not set)");
    assert!(workspace.locate(&key("mextrack")).is_ok());
}
