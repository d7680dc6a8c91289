//! SQLite: a database is a file, and a session a connection of this process.

mod failure;
mod layout;
mod link;
mod lock;
mod records;
mod script;
