//! How long a compiled mapping is kept: as long as it is among the last that this backend used.
//! Keyed by the document's bytes, so a mapping that was edited is another one.

use std::cell::RefCell;
use std::rc::Rc;

use erp_engine::error::{Code, Error};
use erp_engine::jsonb::Value;
use erp_engine::mapping::{Mapping, Problem, Severity, compile};

/// Mappings kept at most, and the bytes of their documents.
const MAX_MAPPINGS: usize = 64;
const MAX_BYTES: usize = 16 << 20;

/// Problems that one error tells.
const MAX_TOLD: usize = 20;

struct Kept {
    document: Box<[u8]>,
    mapping: Rc<Mapping>,
}

thread_local! {
    /// The last used first.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// The mapping of a document, given as the bytes of its jsonb. Error: `CONFIGURATION_INVALID`,
/// whose detail lists every problem.
pub fn compiled(document: &[u8]) -> Result<Rc<Mapping>, Error> {
    if let Some(mapping) = KEPT.with_borrow_mut(|kept| take(kept, document)) {
        return Ok(mapping);
    }
    let compiled = compile(Value::from_datum(document));
    let mapping = Rc::new(compiled.mapping.ok_or_else(|| invalid(&compiled.problems))?);
    KEPT.with_borrow_mut(|kept| {
        kept.insert(0, Kept { document: document.into(), mapping: mapping.clone() });
        let mut bytes = 0;
        let fits = |kept: &Kept| {
            bytes += kept.document.len();
            bytes <= MAX_BYTES
        };
        let fitting = kept.iter().map(fits).take_while(|fits| *fits).count();
        kept.truncate(fitting.clamp(1, MAX_MAPPINGS));
    });
    Ok(mapping)
}

fn take(kept: &mut [Kept], document: &[u8]) -> Option<Rc<Mapping>> {
    let at = kept.iter().position(|kept| *kept.document == *document)?;
    kept[..=at].rotate_right(1);
    Some(kept[0].mapping.clone())
}

fn invalid(problems: &[Problem]) -> Error {
    let errors: Vec<&Problem> =
        problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    let told = errors.iter().take(MAX_TOLD).map(|problem| {
        let path = if problem.path.is_empty() { "(document)" } else { &problem.path };
        format!("{path}: {}", problem.message)
    });
    let mut told: Vec<String> = told.collect();
    if errors.len() > MAX_TOLD {
        told.push(format!("and {} more", errors.len() - MAX_TOLD));
    }
    let message = match errors.len() {
        1 => "the mapping has a problem".to_owned(),
        n => format!("the mapping has {n} problems"),
    };
    Error::new(Code::ConfigurationInvalid, message)
        .detail(told.join("\n"))
        .hint("SELECT * FROM erp_validate(mapping); tells each with a hint.")
}
