//! The values of a plan that are written as text: durations, shares, sizes, counts, seeds.
//!
//! Each is read and printed here, and reads back as it was printed. All are whole numbers inside, so that
//! two machines agree on them.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

const DURATIONS: [(&str, u64); 5] =
    [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
const SPEEDS: [(&str, u64); 4] = [("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000), ("bit", 1)];

/// `text` times `factor`, rounded down; none unless `text` is digits, perhaps with a point between them.
fn scaled(text: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() > 24 {
        return None;
    }
    let mantissa: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    u64::try_from(mantissa.checked_mul(u128::from(factor))? / scale).ok()
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (_, factor) = units.iter().find(|(unit, _)| *unit == &text[digits..])?;
    scaled(&text[..digits], *factor)
}

/// DURATION, to the nanosecond: `1500ms`, `1.5s`, `8h`.
///
/// # Errors
///
/// What a duration looks like, for whoever wrote something else.
pub fn duration(text: &str) -> Result<Duration, String> {
    with_unit(text, &DURATIONS).map(Duration::from_nanos).ok_or_else(|| {
        format!("{text:?} is no duration; write a number and us, ms, s, m or h, as in \"1500ms\"")
    })
}

/// Which side of nothing a number is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    /// The number on this side; none if it does not fit.
    pub(super) fn of(self, number: u64) -> Option<i64> {
        let number = i64::try_from(number).ok()?;
        Some(if self == Self::Minus { -number } else { number })
    }
}

/// A sign, plus if there is none, and what is behind it.
fn signed(text: &str) -> (Sign, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (Sign::Minus, rest),
        None => (Sign::Plus, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// A DURATION that may have a sign.
pub(super) fn signed_duration(text: &str) -> Result<(Sign, Duration), String> {
    let (sign, rest) = signed(text);
    Ok((sign, duration(rest)?))
}

/// SIZE, in bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    with_unit(text, &SIZES)
        .ok_or_else(|| format!("{text:?} is no size; write a number and B, KiB, MiB or GiB, as in \"64B\""))
}

/// SPEED, in bits a second.
pub(super) fn speed(text: &str) -> Result<u64, String> {
    with_unit(text, &SPEEDS).ok_or_else(|| {
        format!("{text:?} is no speed; write a number and bit, kbit, mbit or gbit, as in \"1mbit\"")
    })
}

/// PERCENT.
pub(super) fn percent(text: &str) -> Result<Share, String> {
    text.strip_suffix('%')
        .and_then(|number| scaled(number, 10_000))
        .and_then(Share::from_ppm)
        .ok_or_else(|| format!("{text:?} is no percentage; write a number from 0 to 100 and %, as in \"5%\""))
}

/// A PERCENT that may have a sign.
pub(super) fn signed_percent(text: &str) -> Result<(Sign, Share), String> {
    let (sign, rest) = signed(text);
    Ok((sign, percent(rest)?))
}

/// NAME.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.chars().all(fits) && !text.is_empty() && !text.starts_with('-') && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no name; write 1 to 64 of a to z, 0 to 9 and -, not - first"))
}

/// `delay@percent`, the slow part of a link.
pub(super) fn tail(text: &str) -> Result<(Duration, Share), String> {
    let (extra, share) = text
        .split_once('@')
        .ok_or_else(|| format!("{text:?} is no tail; write a delay and how often, as in \"40ms@1%\""))?;
    Ok((duration(extra)?, percent(share)?))
}

/// The duration as a plan writes it, in the largest unit that needs no point.
pub(crate) fn print_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (unit, factor) in DURATIONS[..3].iter().rev() {
        if nanos.is_multiple_of(u128::from(*factor)) {
            return format!("{}{unit}", nanos / u128::from(*factor));
        }
    }
    format!("{}.{:03}us", nanos / 1_000, nanos % 1_000)
}

/// A part of a whole, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// That many millionths; none above a whole.
    pub fn from_ppm(ppm: u64) -> Option<Self> {
        u32::try_from(ppm).ok().filter(|ppm| *ppm <= 1_000_000).map(Self)
    }

    /// A float from 0 to 1, rounded down to the millionth.
    pub(super) fn from_float(value: f64) -> Option<Self> {
        scaled(&value.to_string(), 1_000_000).and_then(Self::from_ppm)
    }

    /// Millionths.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// This share of `n`, rounded up.
    pub const fn of(self, n: u64) -> u64 {
        let part = (n as u128 * self.0 as u128).div_ceil(1_000_000);
        #[expect(clippy::cast_possible_truncation, reason = "a share is at most the whole, which is a u64")]
        let part = part as u64;
        part
    }

    /// As a percentage.
    pub(super) fn print_percent(self) -> String {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Prints a float, as in `0.05`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        let short = text.trim_end_matches('0');
        write!(f, "{short}{}", if short.ends_with('.') { "0" } else { "" })
    }
}

/// How a [`Count`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `>`
    MoreThan,
    /// `==`
    Exactly,
    /// `<`
    LessThan,
    /// `<=`
    AtMost,
}

const COMPARISONS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Exactly),
    (">", Comparison::MoreThan),
    ("<", Comparison::LessThan),
];

/// A bound on a number, as in `">= 3"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which side of the bound is asked for.
    pub comparison: Comparison,
    /// The bound.
    pub bound: u64,
}

impl Count {
    /// At least `bound`.
    pub const fn at_least(bound: u64) -> Self {
        Self { comparison: Comparison::AtLeast, bound }
    }

    /// Whether `number` is as asked.
    pub const fn holds(self, number: u64) -> bool {
        match self.comparison {
            Comparison::AtLeast => number >= self.bound,
            Comparison::MoreThan => number > self.bound,
            Comparison::Exactly => number == self.bound,
            Comparison::LessThan => number < self.bound,
            Comparison::AtMost => number <= self.bound,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no count; write >=, >, ==, < or <= and a whole number, as in \">= 3\"");
        let (op, comparison) =
            COMPARISONS.iter().find(|(op, _)| text.trim_start().starts_with(op)).ok_or_else(wrong)?;
        let bound = text.trim_start()[op.len()..].trim().parse().map_err(|_| wrong())?;
        Ok(Self { comparison: *comparison, bound })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = COMPARISONS.iter().find(|(_, comparison)| *comparison == self.comparison);
        write!(f, "{} {}", op.map_or("", |(op, _)| op), self.bound)
    }
}

/// The most seeds of one run: their results are held in memory.
const SEEDS_MAX: u64 = 1_000_000;

/// The seeds of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// This one.
    One(u64),
    /// All from the first to the last, both included, of which there may be one.
    These(RangeInclusive<u64>),
    /// So many, to be drawn, and printed, by whoever runs the plan. At least one.
    Random(u64),
}

impl Seeds {
    /// Whether it is one seed that is asked for, and not a range or a number of them.
    pub const fn is_one(&self) -> bool {
        matches!(self, Self::One(_) | Self::Random(1))
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} are no seeds; write a whole number, \"a..b\" with a below b, \"a..=b\" or \"random:n\", at most a million"
            )
        };
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        if let Some(count) = text.strip_prefix("random:") {
            let count = number(count)?;
            return if (1..=SEEDS_MAX).contains(&count) { Ok(Self::Random(count)) } else { Err(wrong()) };
        }
        let Some((first, last)) = text.split_once("..") else {
            return number(text).map(Self::One);
        };
        let first = number(first)?;
        let last = match last.strip_prefix('=') {
            Some(last) => number(last)?,
            None => number(last)?.checked_sub(1).ok_or_else(wrong)?,
        };
        if first > last || last - first >= SEEDS_MAX { Err(wrong()) } else { Ok(Self::These(first..=last)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: what is written, and the nanoseconds that it means.
    #[test]
    fn a_duration_needs_a_number_and_a_unit() {
        for (text, expected) in [
            ("1500ms", Some(1_500_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("0s", Some(0)),
            ("2m", Some(120_000_000_000)),
            ("0.001us", Some(1)),
            ("5", None),
            ("s", None),
            ("1.s", None),
            (".5s", None),
            ("-1s", None),
            ("1 s", None),
            ("1e3s", None),
            ("99999999999999999999s", None),
            ("nans", None),
        ] {
            assert_eq!(duration(text).ok().map(|duration| duration.as_nanos()), expected, "{text}");
        }
        for nanos in [0, 1, 999, 1_000, 1_234_567, 5_000_000, 90_000_000_000] {
            let written = Duration::from_nanos(nanos);
            assert_eq!(duration(&print_duration(written)), Ok(written));
        }
    }

    /// Each row: what is written, and the first and last seed.
    #[test]
    fn a_range_of_seeds_is_neither_empty_nor_backward() {
        for (text, expected) in [
            ("0..500", Some((0, 499))),
            ("3..=3", Some((3, 3))),
            ("3..3", None),
            ("0..1000001", None),
            ("0..0", None),
            ("5..1", None),
            ("a..b", None),
            ("-1..4", None),
            ("random:0", None),
        ] {
            let read = Seeds::parse(text).ok();
            assert_eq!(read, expected.map(|(first, last)| Seeds::These(first..=last)), "{text}");
        }
        assert_eq!(Seeds::parse("random:500"), Ok(Seeds::Random(500)));
        for seed in [7, u64::MAX] {
            assert_eq!(Seeds::parse(&seed.to_string()), Ok(Seeds::One(seed)));
        }
    }

    /// Each row: a share in millionths, as a float and as a percentage.
    #[test]
    fn a_share_reads_back_as_it_was_printed() {
        for (ppm, float, percentage) in
            [(0, "0.0", "0%"), (50_000, "0.05", "5%"), (1_000, "0.001", "0.1%"), (1_000_000, "1.0", "100%")]
        {
            let share = Share::from_ppm(ppm).expect("at most a whole");
            assert_eq!((share.to_string().as_str(), share.print_percent().as_str()), (float, percentage));
            assert_eq!(float.parse().ok().and_then(Share::from_float), Some(share));
            assert_eq!(percent(percentage), Ok(share));
        }
        assert_eq!(Share::from_float(f64::NAN), None);
        assert_eq!(Share::from_float(1.01), None);
        assert!(percent("101%").is_err() && percent("5").is_err() && percent("-1%").is_err());
        assert_eq!(Share::from_ppm(50_000).map(|share| share.of(21)), Some(2));
    }

    /// Each row: a bound, a number, and whether the number is as asked.
    #[test]
    fn a_count_holds_on_its_side_of_the_bound() {
        for (text, number, holds) in
            [(">= 3", 3, true), ("> 3", 3, false), ("== 3", 3, true), ("< 3", 2, true), ("<= 3", 4, false)]
        {
            let count = Count::parse(text).expect("a count");
            assert_eq!((count.holds(number), count.to_string().as_str()), (holds, text));
        }
        assert!(Count::parse("3").is_err() && Count::parse("=> 3").is_err() && Count::parse(">= x").is_err());
    }
}
