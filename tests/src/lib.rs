//! What the tests share: connections to the server that PGHOST names, databases of their own.
