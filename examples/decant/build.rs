//! Has the application compiled anew where there is a new migration.

fn main() {
    println!("cargo:rerun-if-changed=../../tests/workspaces/decant/migrations");
}
