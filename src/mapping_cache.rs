//! How long a compiled mapping is kept: as long as it is among the last that this backend used.
//! Keyed by the document's bytes, so a mapping that was edited is another one.

use std::cell::RefCell;
use std::rc::Rc;

use erp_engine::error::{Code, Error};
use erp_engine::expr::Limits;
use erp_engine::jsonb::Value;
use erp_engine::mapping::{Compiled, Mapping, Problem, Severity, compile_within};

use crate::error::Failure;
use crate::pg::interrupt::{self, Watch};
use crate::pg::memory::{self, Bound};
use crate::settings;

/// Mappings kept at most, and the memory that they take together.
const MAX_MAPPINGS: usize = 64;
const MAX_BYTES: usize = 64 << 20;

/// Problems that one error tells.
const MAX_TOLD: usize = 20;

struct Kept {
    document: Box<[u8]>,
    mapping: Rc<Mapping>,
    /// Bytes of memory.
    size: usize,
}

thread_local! {
    /// The last used first.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// The mapping of a document, given as the bytes of its jsonb. Error: `CONFIGURATION_INVALID`,
/// whose detail lists every problem; `EXPRESSION_LIMIT_EXCEEDED` for its memory.
pub fn compiled(document: &[u8], limits: &Limits) -> Result<Rc<Mapping>, Failure> {
    if let Some(mapping) = KEPT.with_borrow_mut(|kept| take(kept, document, limits)) {
        return Ok(mapping);
    }
    let before = memory::in_use();
    let compiled = compile(document, limits)?;
    let mapping = Rc::new(compiled.mapping.ok_or_else(|| invalid(&compiled.problems))?);
    let document: Box<[u8]> = document.into();
    let size = memory::in_use().saturating_sub(before);
    KEPT.with_borrow_mut(|kept| {
        kept.insert(0, Kept { document, mapping: mapping.clone(), size });
        let mut bytes = 0;
        let fits = |kept: &Kept| {
            bytes += kept.size;
            bytes <= MAX_BYTES
        };
        let fitting = kept.iter().map(fits).take_while(|fits| *fits).count();
        kept.truncate(fitting.clamp(1, MAX_MAPPINGS));
    });
    Ok(mapping)
}

/// Compiles a document; it can be stopped, and takes a bounded time and memory.
pub fn compile(document: &[u8], limits: &Limits) -> Result<Compiled, Failure> {
    let bound = Bound::start(settings::max_memory());
    let watch = Watch::start()?;
    let compiled = compile_within(Value::from_datum(document), limits, &watch.token());
    interrupt::check()?;
    if bound.is_exceeded() {
        return Err(Failure::out_of_memory("compiling the mapping"));
    }
    Ok(compiled)
}

fn take(kept: &mut [Kept], document: &[u8], limits: &Limits) -> Option<Rc<Mapping>> {
    let at = kept.iter().position(|kept| *kept.document == *document)?;
    let is_within = document.len() <= limits.max_mapping_size
        && kept[at].mapping.longest_expression() <= limits.max_length;
    if !is_within {
        return None;
    }
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
    // The mapping may be right, and the setting too low.
    let of_setting = errors.iter().find_map(|problem| {
        problem.hint.as_deref().filter(|hint| hint.starts_with("The setting "))
    });
    let hint = of_setting.unwrap_or("SELECT * FROM erp_validate(mapping); tells each with a hint.");
    Error::new(Code::ConfigurationInvalid, message).detail(told.join("\n")).hint(hint)
}
