//! PostgreSQL's `numeric` as jsonb stores it: exact decimal digits.

use super::layout::word;

/// A number, in place: a `numeric` datum with its length word.
#[derive(Clone, Copy)]
pub struct Number<'a>(&'a [u8]);

/// Bits of a numeric's first header word (`utils/adt/numeric.c`).
const SHORT: u16 = 0x8000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_SCALE_MAX: u16 = 0x003F;
const SHORT_SCALE_SHIFT: u16 = 7;
const SHORT_WEIGHT_SIGN: u16 = 0x0040;
const SHORT_WEIGHT: u16 = 0x003F;
const LONG_NEGATIVE: u16 = 0x4000;
const LONG_SCALE: u16 = 0x3FFF;

/// The largest integer up to which every integer is a double: 2^53.
pub const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// The parts of a numeric: value = ± Σ digit(i) · 10000^(weight − i).
struct Parts<'a> {
    negative: bool,
    /// The power of 10,000 of the first digit.
    weight: i32,
    /// Decimal digits shown behind the point.
    scale: usize,
    /// Base-10,000 digits, two bytes each.
    digits: &'a [u8],
}

impl<'a> Number<'a> {
    /// The number of a `numeric` datum, its four-byte length word included.
    pub fn from_datum(bytes: &'a [u8]) -> Number<'a> {
        Number(bytes)
    }

    /// The number in binary form, its length word included.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The number `text` of JSON, exactly: `None` when it is no JSON number or beyond
    /// PostgreSQL's `numeric` (131,072 digits before the point, 16,383 behind it).
    pub fn parse(text: &str) -> Option<Vec<u8>> {
        Decimal::parse(text)?.encode()
    }

    /// The shortest decimal number that reads back as `value`. `None` when it is not finite.
    pub fn from_f64(value: f64) -> Option<Vec<u8>> {
        if !value.is_finite() {
            return None;
        }
        Number::parse(&value.to_string())
    }

    /// What an expression computed: as [`Number::from_f64`], but integers from 2^53 on, where
    /// doubles skip some, are marked. The mark is the long form of the header, which PostgreSQL
    /// uses for numbers of more digits alone; it is the same number to PostgreSQL.
    pub fn computed(value: f64) -> Option<Vec<u8>> {
        let bytes = Number::from_f64(value)?;
        if value.abs() < EXACT_INTEGERS || half(&bytes, 4) & SHORT == 0 {
            return Some(bytes);
        }
        let parts = Number(&bytes).parts();
        let mut marked = vec![0; 4];
        let sign = if parts.negative { LONG_NEGATIVE } else { 0 };
        marked.extend((sign | parts.scale as u16).to_ne_bytes());
        marked.extend((parts.weight as i16).to_ne_bytes());
        marked.extend_from_slice(parts.digits);
        let length = length_word(marked.len());
        marked[..4].copy_from_slice(&length);
        Some(marked)
    }

    /// Whether an expression computed the number, from 2^53 on: it may not be the number meant.
    pub fn is_inexact(self) -> bool {
        let parts = self.parts();
        let fits_short =
            parts.scale <= usize::from(SHORT_SCALE_MAX) && (-64..=63).contains(&parts.weight);
        half(self.0, 4) & SHORT == 0 && fits_short
    }

    /// Whether the number has no digits behind the point.
    pub fn is_integer(self) -> bool {
        self.parts().scale == 0
    }

    /// The nearest double; infinite when the number is beyond all doubles.
    pub fn to_f64(self) -> f64 {
        let parts = self.parts();
        match parts.small() {
            Some((mantissa, power)) => {
                let value = mantissa as f64 / 10f64.powi(power as i32);
                if parts.negative { -value } else { value }
            }
            None => self.to_text().parse().unwrap_or(f64::NAN),
        }
    }

    /// Whether the number is a double's own value, written without trailing zeros: a double
    /// read from it and written again gives the same number.
    pub fn is_exact_f64(self) -> bool {
        let parts = self.parts();
        if let Some((mantissa, power)) = parts.small() {
            // Up to 15 digits every decimal survives a double.
            if power == 0 || mantissa < 1_000_000_000_000_000 {
                return power == parts.scale;
            }
        }
        Number::from_f64(self.to_f64()).is_some_and(|bytes| bytes == self.0)
    }

    /// The number as text with all its digits, as PostgreSQL prints it.
    pub fn to_text(self) -> String {
        let parts = self.parts();
        let mut out = String::with_capacity(parts.digits.len() * 2 + 8);
        if parts.negative {
            out.push('-');
        }
        if parts.weight < 0 {
            out.push('0');
        }
        for position in 0..=parts.weight {
            let digit = parts.digit(position);
            if position == 0 {
                out.push_str(&digit.to_string());
            } else {
                push_four(&mut out, digit);
            }
        }
        if parts.scale > 0 {
            out.push('.');
            let end = out.len() + parts.scale;
            let mut position = parts.weight + 1;
            while out.len() < end {
                push_four(&mut out, parts.digit(position));
                position += 1;
            }
            out.truncate(end);
        }
        out
    }

    /// The canonical digits, the same for equal numbers: no exponent, no trailing zeros behind
    /// the point.
    pub fn canonical(self) -> String {
        let mut text = self.to_text();
        if text.contains('.') {
            text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        }
        text
    }

    fn parts(self) -> Parts<'a> {
        let bytes = self.0;
        let header = half(bytes, 4);
        if header & SHORT != 0 {
            let weight = i32::from(header & SHORT_WEIGHT);
            Parts {
                negative: header & SHORT_NEGATIVE != 0,
                weight: if header & SHORT_WEIGHT_SIGN != 0 { weight - 64 } else { weight },
                scale: usize::from((header >> SHORT_SCALE_SHIFT) & SHORT_SCALE_MAX),
                digits: &bytes[6..],
            }
        } else {
            Parts {
                negative: header & LONG_NEGATIVE != 0,
                weight: i32::from(half(bytes, 6) as i16),
                scale: usize::from(header & LONG_SCALE),
                digits: &bytes[8..],
            }
        }
    }
}

impl Parts<'_> {
    fn count(&self) -> usize {
        self.digits.len() / 2
    }

    /// The digit at `position` from the first stored one; zero before it and past the last.
    fn digit(&self, position: i32) -> u16 {
        match usize::try_from(position) {
            Ok(at) if at < self.count() => half(self.digits, 2 * at),
            _ => 0,
        }
    }

    /// The number as `mantissa / 10^power` in lowest terms, both exact as doubles, when it is
    /// that small: then one division gives the nearest double.
    fn small(&self) -> Option<(u64, usize)> {
        let fraction = (i32::try_from(self.count()).ok()? - 1 - self.weight).max(0);
        let whole = self.weight.max(0);
        if whole + fraction > 3 {
            return None;
        }
        let first = self.weight.min(0);
        let mut mantissa = (0..=whole + fraction)
            .fold(0, |mantissa, at| mantissa * 10_000 + u64::from(self.digit(first + at)));
        let mut power = usize::try_from(fraction).ok()? * 4;
        while power > 0 && mantissa.is_multiple_of(10) {
            mantissa /= 10;
            power -= 1;
        }
        (mantissa < EXACT_INTEGERS as u64).then_some((mantissa, power))
    }
}

/// A decimal number being read.
struct Decimal {
    negative: bool,
    /// Decimal digits without leading zeros.
    digits: Vec<u8>,
    /// Position of the decimal point, counted from the first digit.
    point: i64,
    scale: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        // Far beyond numeric's range: refused before anything is allocated for it.
        if exponent.abs() > 200_000 || mantissa.len() > 200_000 {
            return None;
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        let leading = digits.iter().take_while(|&&d| d == 0).count();
        Some(Decimal {
            negative,
            point: whole.len() as i64 + exponent - leading as i64,
            scale: (fraction.len() as i64 - exponent).max(0),
            digits: digits[leading..].to_vec(),
        })
    }

    /// Base-10,000 digits without leading and trailing zeros, and the weight of the first.
    fn groups(&self) -> (Vec<u16>, i64) {
        let weight = (self.point - 1).div_euclid(4);
        // Decimal zeros in front, so that the point falls between two groups.
        let lead = (4 - self.point.rem_euclid(4)) % 4;
        let padded: Vec<u8> =
            std::iter::repeat_n(0, lead as usize).chain(self.digits.iter().copied()).collect();
        let mut groups: Vec<u16> = padded
            .chunks(4)
            .map(|c| (0..4).fold(0, |n, i| n * 10 + u16::from(*c.get(i).unwrap_or(&0))))
            .collect();
        while groups.last() == Some(&0) {
            groups.pop();
        }
        if groups.is_empty() { (groups, 0) } else { (groups, weight) }
    }

    fn encode(&self) -> Option<Vec<u8>> {
        let (groups, weight) = self.groups();
        let weight = i16::try_from(weight).ok()?;
        let scale = u16::try_from(self.scale).ok().filter(|&scale| scale <= LONG_SCALE)?;
        let negative = self.negative && !groups.is_empty();
        let mut out = vec![0; 4];
        if scale <= SHORT_SCALE_MAX && (-64..=63).contains(&weight) {
            let sign = if negative { SHORT_NEGATIVE } else { 0 };
            let weight_sign = if weight < 0 { SHORT_WEIGHT_SIGN } else { 0 };
            let bits = (weight as u16) & SHORT_WEIGHT;
            let header = SHORT | sign | (scale << SHORT_SCALE_SHIFT) | weight_sign | bits;
            out.extend(header.to_ne_bytes());
        } else {
            let sign = if negative { LONG_NEGATIVE } else { 0 };
            out.extend((sign | scale).to_ne_bytes());
            out.extend(weight.to_ne_bytes());
        }
        for group in groups {
            out.extend(group.to_ne_bytes());
        }
        let length = length_word(out.len());
        out[..4].copy_from_slice(&length);
        Some(out)
    }
}

/// A varlena's four-byte length word (`SET_VARSIZE_4B`).
fn length_word(length: usize) -> [u8; 4] {
    let length = length as u32;
    if cfg!(target_endian = "little") { length << 2 } else { length }.to_ne_bytes()
}

/// The length a varlena's four-byte length word tells.
pub(super) fn word_length(bytes: &[u8]) -> usize {
    let length = word(bytes, 0);
    (if cfg!(target_endian = "little") { length >> 2 } else { length & 0x3FFF_FFFF }) as usize
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn push_four(out: &mut String, digit: u16) {
    for power in [1000, 100, 10, 1] {
        out.push(char::from(b'0' + (digit / power % 10) as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(text: &str) -> String {
        Number(&Number::parse(text).expect(text)).to_text()
    }

    #[test]
    fn digits_stay_as_they_are() {
        for text in [
            "0",
            "1",
            "-1",
            "7",
            "9999",
            "10000",
            "12345678901234567890",
            "1.10",
            "0.1",
            "-0.0001",
            "0.00001",
            "100.00",
            "123456.789",
            "0.0",
            "1234567890.0987654321",
            "99999999999999999999.5",
        ] {
            assert_eq!(through(text), text);
        }
        assert_eq!(through("1e3"), "1000");
        assert_eq!(through("1.5e-3"), "0.0015");
        assert_eq!(through("-0"), "0");
        assert_eq!(through("1E+2"), "100");
        assert_eq!(through("1e400"), format!("1{}", "0".repeat(400)));
        assert_eq!(through("12.50e1"), "125.0");
    }

    #[test]
    fn what_numeric_cannot_hold_is_refused() {
        for text in [
            "1e200000",
            "1e-17000",
            "1e999999999999999999999",
            "",
            "-",
            "1e",
            "0x1",
            "1.2.3",
            "NaN",
        ] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn canonical_digits_are_the_same_for_equal_numbers() {
        for (text, canonical) in [
            ("7", "7"),
            ("7.0", "7"),
            ("7.10", "7.1"),
            ("700", "700"),
            ("0.00", "0"),
            ("1e2", "100"),
        ] {
            assert_eq!(Number(&Number::parse(text).unwrap()).canonical(), canonical);
        }
    }

    #[test]
    fn doubles_are_the_nearest() {
        for text in [
            "0",
            "1",
            "0.1",
            "1.1",
            "1.10",
            "123456.789",
            "0.00001",
            "12345678901234567890",
            "1e22",
            "9007199254740993",
            "0.30000000000000004",
            "1e-300",
            "4503599627370497.5",
            "99999999.9999",
            "0.000123",
            "1000000.5",
        ] {
            let bytes = Number::parse(text).unwrap();
            let number = Number(&bytes);
            assert_eq!(number.to_f64(), text.parse::<f64>().unwrap(), "{text}");
            let exact = Number::from_f64(number.to_f64()).unwrap() == bytes;
            assert_eq!(number.is_exact_f64(), exact, "{text}");
        }
        assert!(Number(&Number::parse("1e400").unwrap()).to_f64().is_infinite());
    }

    #[test]
    fn doubles_are_written_shortest() {
        for (value, text) in [
            (0.1, "0.1"),
            (1e21, "1000000000000000000000"),
            (-2.5, "-2.5"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(Number(&Number::from_f64(value).unwrap()).to_text(), text);
        }
        assert!(Number::from_f64(f64::NAN).is_none());
    }
}
