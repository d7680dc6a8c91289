//! Commands around what is done to a database.

use dbctl_workspace::Hook;
use insta::assert_snapshot;

use crate::support::{Site, key, wrong};

const MANIFEST: &str = "\
workspace: x
databases:
  a:
    hooks:
      before_migrate: [echo one, 'echo ${TWO} $$']
      after_migrate: pnpm db:generate
      after_seed: []
      before_clean:
  b: {}
environments:
  production:
    databases:
      a: { hooks: { after_seed: 'true' } }
";

#[test]
fn commands_are_the_shells() {
    let workspace = Site::new(MANIFEST).workspace();
    let hooks = &workspace.database(&key("a")).hooks;
    assert_eq!(hooks.commands(Hook::BeforeMigrate), ["echo one", "echo ${TWO} $$"]);
    assert_eq!(hooks.commands(Hook::AfterMigrate), ["pnpm db:generate"]);
    for hook in [Hook::AfterSeed, Hook::BeforeClean, Hook::BeforeCreate] {
        assert!(hooks.commands(hook).is_empty(), "{hook}");
    }
    assert_eq!(workspace.database(&key("b")).hooks, dbctl_workspace::Hooks::default());
}

#[test]
fn an_environment_replaces_them_as_a_whole() {
    let workspace = Site::new(MANIFEST).environment("production").workspace();
    let hooks = &workspace.database(&key("a")).hooks;
    assert_eq!(hooks.commands(Hook::AfterSeed), ["true"]);
    assert!(hooks.commands(Hook::AfterMigrate).is_empty());
}

#[test]
fn what_is_no_hook() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a: { hooks: { after_migrat: x, before_seed: 1, after_seed: [true, ''], after_clean: '  ' } }
  b: { hooks: pnpm db:generate }
"), @r#"
    3:17 unknown key `after_migrat` in `databases.a.hooks`
      |   a: { hooks: { after_migrat: x, before_seed: 1, after_seed: [true, ''], after_clean: '  ' } }
      |                 ^^^^^^^^^^^^
      = did you mean `after_migrate`?
    3:47 `databases.a.hooks.before_seed` must be text, not a number
      |   a: { hooks: { after_migrat: x, before_seed: 1, after_seed: [true, ''], after_clean: '  ' } }
      |                                               ^
      = put it in quotes: "1"
    3:63 `databases.a.hooks.after_seed[0]` must be text, not a boolean
      |   a: { hooks: { after_migrat: x, before_seed: 1, after_seed: [true, ''], after_clean: '  ' } }
      |                                                               ^^^^
      = put it in quotes: "true"
    3:69 the command of `after_seed` is empty
      |   a: { hooks: { after_migrat: x, before_seed: 1, after_seed: [true, ''], after_clean: '  ' } }
      |                                                                     ^^
    3:87 the command of `after_clean` is empty
      |   a: { hooks: { after_migrat: x, before_seed: 1, after_seed: [true, ''], after_clean: '  ' } }
      |                                                                                       ^^^^
    4:15 `databases.b.hooks` must be a mapping, not text
      |   b: { hooks: pnpm db:generate }
      |               ^^^^^^^^^^^^^^^^
    "#);
}
