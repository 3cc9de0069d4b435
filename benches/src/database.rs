//! The database of a run: made here, dropped at the end.

use postgres::{Client, Config, NoTls};

use crate::Result;

/// A new database with the extension.
pub struct Database {
    name: String,
}

impl Database {
    pub fn create() -> Result<Database> {
        let name = format!("erp_bench_{}", std::process::id());
        server()?
            .connect(NoTls)?
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))?;
        let database = Database { name };
        database.connect_keeper("public")?.batch_execute("CREATE EXTENSION erp_toolkit")?;
        Ok(database)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A session that finds tables and functions in `schema`. `purpose` is shown by
    /// pg_stat_activity, to tell the session that a profiler is to look at.
    pub fn connect(&self, purpose: &str, schema: &str) -> Result<Client> {
        let mut config = server()?;
        config.dbname(&self.name).application_name(&format!("erp_bench {purpose}"));
        let mut client = config.connect(NoTls)?;
        client.batch_execute(&format!("SET search_path = {schema}"))?;
        Ok(client)
    }

    /// A session for what is not measured. Compiling its statements takes longer than to run them.
    pub fn connect_keeper(&self, schema: &str) -> Result<Client> {
        let mut client = self.connect("keeper", schema)?;
        client.batch_execute("SET jit = off")?;
        Ok(client)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let dropped =
            server().and_then(|server| Ok(server.connect(NoTls)?.batch_execute(&drop)?));
        if let Err(error) = dropped {
            eprintln!("erp_bench: {} is left behind: {error}", self.name);
        }
    }
}

/// The server that the environment names.
fn server() -> Result<Config> {
    let variable = |name: &str| std::env::var(name).ok();
    let mut config = Config::new();
    config.host(&variable("PGHOST").ok_or("PGHOST names no server; see scripts/with-cluster.sh")?);
    if let Some(port) = variable("PGPORT") {
        config.port(port.parse()?);
    }
    config.user(&variable("PGUSER").unwrap_or_else(|| "postgres".into()));
    config.dbname(&variable("PGDATABASE").unwrap_or_else(|| "postgres".into()));
    if let Some(password) = variable("PGPASSWORD") {
        config.password(password);
    }
    Ok(config)
}
