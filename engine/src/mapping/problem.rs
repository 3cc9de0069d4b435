//! What is wrong with a mapping document, and the nearest valid word.

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The mapping cannot be used.
    Error,
    /// It can, but hardly means what it says.
    Warning,
}

/// One problem of a mapping document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// A stable code, such as `KEY_MISSING`.
    pub code: &'static str,
    /// Where it is, as a JSON Pointer into the document.
    pub path: String,
    pub message: String,
    pub hint: Option<String>,
}

/// The word of `known` that `word` most likely was meant to be.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    // Comparing takes time in the product of the lengths.
    if word.len() > 100 {
        return None;
    }
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let near = |(candidate, distance): &(&str, usize)| *distance <= 1 + candidate.len() / 4;
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= 100)
        .map(|candidate| (candidate, distance(candidate)))
        .filter(near)
        .min_by_key(|(_, distance)| *distance)
        .map(|(candidate, _)| candidate)
}
