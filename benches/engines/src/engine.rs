//! The engines behind one trait, each used the fastest way that its interface has.

use std::hint::black_box;
use std::time::Duration;

use bumpalo::Bump;
use erp_engine::expr::{CancelToken, Limits};
use jlens_core::{Bindings, Document, Options};
use jsonata_core::evaluator::EvaluatorOptions;
use jsonata_core::value::JValue;
use jsonata_rs::JsonAta;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    JlensCore,
    JsonataCore,
    JsonataRs,
}

/// The longest that one evaluation may take: shorter than in the product, to end sooner.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// An expression with the input it is evaluated on.
pub trait Compiled {
    /// Evaluates, and throws the result away.
    fn evaluate(&self) -> Result<(), String>;

    /// The result as JSON text; `None`: nothing.
    fn text(&self) -> Result<Option<String>, String>;
}

impl Engine {
    pub const ALL: [Engine; 3] = [Engine::JlensCore, Engine::JsonataCore, Engine::JsonataRs];

    pub fn name(self) -> &'static str {
        match self {
            Engine::JlensCore => "jlens-core",
            Engine::JsonataCore => "jsonata-core",
            Engine::JsonataRs => "jsonata-rs",
        }
    }

    /// Gives `work` the expressions, compiled, on an input that they share. Those that do not
    /// compile, or whose input does not parse, are errors.
    pub fn with_compiled<R>(
        self,
        expressions: &[&str],
        input: &str,
        work: impl FnOnce(&[Boxed<'_>]) -> R,
    ) -> R {
        match self {
            Engine::JlensCore => {
                let document = Document::parse(input).map_err(|error| error.to_string());
                work(&each(expressions, |source| jlens(source, document.as_ref())))
            }
            Engine::JsonataCore => {
                let input = JValue::from_json_str(input).map_err(|error| error.to_string());
                work(&each(expressions, |source| jsonata_core(source, input.as_ref())))
            }
            Engine::JsonataRs => {
                let arena = Bump::new();
                let parsed = JsonAta::new("$", &arena)
                    .and_then(|whole| whole.evaluate_timeboxed(Some(input), None, None));
                let parsed = parsed.map_err(|error| error.to_string());
                work(&each(expressions, |source| jsonata_rs(source, parsed.clone(), &arena)))
            }
        }
    }
}

/// What compiling gives.
pub type Boxed<'a> = Result<Box<dyn Compiled + 'a>, String>;

fn each<'a>(sources: &[&str], compile: impl Fn(&str) -> Boxed<'a>) -> Vec<Boxed<'a>> {
    sources.iter().map(|source| compile(source)).collect()
}

struct Jlens<'a> {
    expression: jlens_core::Expression,
    document: &'a Document,
    bindings: Bindings,
    options: Options,
}

fn jlens<'a>(source: &str, document: Result<&'a Document, &String>) -> Boxed<'a> {
    let document = document.map_err(String::clone)?;
    let expression = jlens_core::Expression::compile(source).map_err(|error| error.to_string())?;
    // The product's limits. Its token, too: another version of the engine would not take it.
    let limits = Limits::default();
    let options = Options::new()
        .timeout(TIMEOUT)
        .max_steps(limits.max_steps)
        .max_depth(limits.max_depth)
        .max_string_length(limits.max_string_length)
        .max_array_length(limits.max_array_length)
        .max_result_size(limits.max_result_size)
        .cancel_token(CancelToken::new());
    Ok(Box::new(Jlens { expression, document, bindings: Bindings::new(), options }))
}

impl Compiled for Jlens<'_> {
    fn evaluate(&self) -> Result<(), String> {
        let result =
            self.expression.evaluate_document(self.document, &self.bindings, &self.options);
        result.map(|value| drop(black_box(value))).map_err(|error| error.to_string())
    }

    fn text(&self) -> Result<Option<String>, String> {
        let result =
            self.expression.evaluate_document(self.document, &self.bindings, &self.options);
        result.map(|value| value.map(|value| value.to_string())).map_err(|error| error.to_string())
    }
}

struct JsonataCore<'a> {
    expression: jsonata_core::Expression,
    input: &'a JValue,
}

fn jsonata_core<'a>(source: &str, input: Result<&'a JValue, &String>) -> Boxed<'a> {
    let input = input.map_err(String::clone)?;
    let limits = Limits::default();
    let options = EvaluatorOptions {
        timeout_ms: Some(TIMEOUT.as_millis() as u64),
        cancel: Some(jsonata_core::evaluator::CancelToken::new()),
        max_stack_depth: Some(limits.max_depth),
        max_sequence_length: Some(limits.max_array_length),
    };
    let expression = jsonata_core::Expression::compile_with_options(source, options)
        .map_err(|error| error.to_string())?;
    Ok(Box::new(JsonataCore { expression, input }))
}

impl Compiled for JsonataCore<'_> {
    fn evaluate(&self) -> Result<(), String> {
        let result = self.expression.evaluate(self.input);
        result.map(|value| drop(black_box(value))).map_err(|error| error.to_string())
    }

    fn text(&self) -> Result<Option<String>, String> {
        let value = self.expression.evaluate(self.input).map_err(|error| error.to_string())?;
        if value.is_undefined() {
            return Ok(None);
        }
        value.to_json_string().map(Some).map_err(|error| error.to_string())
    }
}

struct JsonataRs<'a> {
    expression: JsonAta<'a>,
}

/// It takes an input as text alone, and parses that at each evaluation; what is shared is bound
/// to a variable. What an evaluation makes stays in the arena of the expression.
fn jsonata_rs<'a>(
    source: &str,
    input: Result<&'a jsonata_rs::Value<'a>, String>,
    arena: &'a Bump,
) -> Boxed<'a> {
    let expression = JsonAta::new(&format!("$input.({source}\n)"), arena);
    let expression = expression.map_err(|error| error.to_string())?;
    expression.assign_var("input", input?);
    Ok(Box::new(JsonataRs { expression }))
}

impl<'a> JsonataRs<'a> {
    fn value(&self) -> Result<&'a jsonata_rs::Value<'a>, String> {
        let depth = Limits::default().max_depth;
        let timeout = TIMEOUT.as_millis() as usize;
        let result = self.expression.evaluate_timeboxed(None, Some(depth), Some(timeout));
        result.map_err(|error| error.to_string())
    }
}

impl Compiled for JsonataRs<'_> {
    fn evaluate(&self) -> Result<(), String> {
        self.value().map(|value| {
            black_box(value);
        })
    }

    fn text(&self) -> Result<Option<String>, String> {
        let value = self.value()?;
        Ok((!value.is_undefined()).then(|| value.serialize(false)))
    }
}
