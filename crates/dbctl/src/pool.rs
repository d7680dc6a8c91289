//! The pool, and what the rest of the library needs of it.

pub use dbctl_engine::pool::{
    Client, Pool, PoolConfig, PoolError, Transaction, TransactionOptions, with_transaction,
    with_transaction_as,
};
use secrecy::SecretString;

use crate::Database;

/// Makes a pool, which connects when somebody wants a connection.
pub fn pool(config: PoolConfig) -> Result<Pool, PoolError> {
    Pool::new(config)
}

impl Database for Pool {
    fn url(&self) -> SecretString {
        self.config().url().clone()
    }
}
