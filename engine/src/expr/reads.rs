//! What an expression may read of its input, found without running it: paths of field names.
//!
//! The paths are an upper bound. What stands neither at, below nor above one of them may be
//! anything: the value of the expression is the same. Arrays have no names and are passed
//! through; where a path goes on inside an array, the array's length counts as read.

use std::fmt;

use jlens_core::reads::Read;

/// Paths that are told apart at most.
pub(super) const MAX_PATHS: usize = 1_000;

/// A path of names from the input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FieldPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Name(String),
    /// Every field of an object, every item of an array.
    Any,
}

impl FieldPath {
    /// The path of the field `name` below this one.
    pub(super) fn name(&self, name: &str) -> FieldPath {
        self.then(Step::Name(name.to_owned()))
    }

    /// The path of all fields and items below this one.
    pub(super) fn any(&self) -> FieldPath {
        self.then(Step::Any)
    }

    fn then(&self, step: Step) -> FieldPath {
        FieldPath(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for FieldPath {
    /// Names joined by dots, in backquotes unless made of letters, digits and `_`; `*` for all
    /// fields and items, and alone for the whole input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("*");
        }
        for (i, step) in self.0.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            match step {
                Step::Any => write!(f, "{dot}*")?,
                Step::Name(name) if is_plain(name) => write!(f, "{dot}{name}")?,
                Step::Name(name) => write!(f, "{dot}`{name}`")?,
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphabetic() || letter == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_numeric())
}

/// What an expression may read of its input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reads {
    /// Sorted; none begins with another.
    paths: Vec<FieldPath>,
}

impl Reads {
    /// The whole input, whatever is in it.
    pub fn everything() -> Reads {
        Reads { paths: vec![FieldPath::default()] }
    }

    /// The field `name` of the input.
    pub fn field(name: &str) -> Reads {
        Reads { paths: vec![FieldPath::default().name(name)] }
    }

    /// What lies at or below `paths`. Too many of them are widened to the fields they begin
    /// with, or to everything.
    pub(super) fn of(paths: Vec<FieldPath>) -> Reads {
        let mut paths = outermost(paths);
        if paths.len() > MAX_PATHS {
            paths.iter_mut().for_each(|path| path.0.truncate(1));
            paths = outermost(paths);
        }
        if paths.len() > MAX_PATHS { Reads::everything() } else { Reads { paths } }
    }

    /// What JSONata's own analysis found.
    pub(super) fn of_jsonata(read: Option<&Read>) -> Reads {
        let mut paths = Vec::new();
        if let Some(read) = read {
            leaves(read, &FieldPath::default(), &mut paths);
        }
        Reads::of(paths)
    }

    /// What either reads.
    pub fn and(self, other: Reads) -> Reads {
        Reads::of(self.paths.into_iter().chain(other.paths).collect())
    }

    /// Whether nothing of the input is read.
    pub fn is_nothing(&self) -> bool {
        self.paths.is_empty()
    }

    /// The paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &FieldPath> {
        self.paths.iter()
    }
}

/// The paths that do not begin with another one. All that is in a value is the value.
fn outermost(mut paths: Vec<FieldPath>) -> Vec<FieldPath> {
    for path in &mut paths {
        let named = path.0.iter().rposition(|step| *step != Step::Any);
        path.0.truncate(named.map_or(0, |last| last + 1));
    }
    // What begins with a path is sorted right behind it.
    paths.sort_unstable();
    paths.dedup_by(|path, outer| path.0.starts_with(&outer.0));
    paths
}

fn leaves(read: &Read, at: &FieldPath, paths: &mut Vec<FieldPath>) {
    match read.fields() {
        Some(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, read)| leaves(read, &at.name(name), paths));
        }
        // Whole, or whether it is there.
        _ => paths.push(at.clone()),
    }
}
