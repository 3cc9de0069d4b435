//! erp_toolkit: ERP integration mappings run inside PostgreSQL.
//!
//! - `api`: the SQL functions, a few lines each;
//! - [`mapping_cache`]: how long a compiled mapping is kept;
//! - [`store`]: from entity updates to rows;
//! - [`jsonb`]: datum ↔ bytes;
//! - [`error`]: SQLSTATE, DETAIL and HINT;
//! - [`settings`]: the limits a session may set;
//! - [`pg`]: the seam to the server.
//!
//! What a mapping means is decided in the crate `erp_engine`.

mod api;
mod error;
mod jsonb;
mod mapping_cache;
mod pg;
mod settings;
mod store;

::pgrx::pg_module_magic!(name, version);

/// Called once a backend, when the library is loaded.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
}
