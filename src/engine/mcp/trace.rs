//! Trace context as W3C writes it, in headers and in `_meta` (SEP-414): which span a request belongs to.

/// A header, and a key of `_meta`.
pub const TRACEPARENT: &str = "traceparent";
/// A header, and a key of `_meta`: what others have to say of the trace.
pub const TRACESTATE: &str = "tracestate";

/// What is passed on of a `tracestate`; a longer one is not (W3C, 3.3.1.5).
const MAX_STATE: usize = 512;

/// A span of somebody, as others are told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// Of all spans of one trace; not zero.
    pub trace: u128,
    /// Of this one; not zero.
    pub span: u64,
    /// It is kept.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`; `None`: it is none, and means nothing then.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.trim_matches([' ', '\t']).split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let version = hex(version, 2)?;
        // Later versions may have more fields; there is no version ff.
        if version == 0xff || (version == 0 && fields.next().is_some()) {
            return None;
        }
        let (trace, span, flags) = (hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?);
        (trace != 0 && span != 0).then_some(Self {
            trace,
            span: u64::try_from(span).ok()?,
            sampled: flags & 1 == 1,
        })
    }
}

impl std::fmt::Display for TraceContext {
    /// As a `traceparent` of version 00.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trace, span, sampled } = self;
        write!(formatter, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(*sampled))
    }
}

/// A number of so many digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    is_number.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// A `tracestate` that may be passed on.
#[must_use]
pub fn state(text: &str) -> Option<&str> {
    let text = text.trim_ascii();
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
    (!text.is_empty() && text.len() <= MAX_STATE && text.bytes().all(is_plain)).then_some(text)
}

/// How many of the traces that begin here are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Traces whose last 56 bits are less are not (OpenTelemetry, consistent probability sampling).
    threshold: u64,
}

const BITS: u32 = 56;

impl Ratio {
    /// All of them.
    pub const ALL: Self = Self { threshold: 0 };

    /// `None`: not from 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "from 0 to 2^56, which a double holds exactly"
    )]
    pub fn new(kept: f64) -> Option<Self> {
        let whole = (1_u64 << BITS) as f64;
        (0.0..=1.0).contains(&kept).then_some(Self {
            threshold: ((1.0 - kept) * whole) as u64,
        })
    }

    /// None of them.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.threshold >> BITS != 0
    }

    /// Whether the trace with this id is kept.
    #[must_use]
    pub const fn keeps(self, trace: u128) -> bool {
        trace & ((1 << BITS) - 1) >= self.threshold as u128
    }

    /// In hundredths, as Envoy has it.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "less than 2^57")]
    pub fn percent(self) -> f64 {
        100.0 - self.threshold as f64 * 100.0 / (1_u64 << BITS) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says() {
        let whole = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = TraceContext::parse(whole).expect("the recommendation's example");
        assert_eq!(read.span, 0xb7ad_6b71_6920_3331);
        assert!(read.sampled);
        assert_eq!(read.to_string(), whole);
        let later = whole.replacen("00", "cc", 1) + "-what-comes-later";
        assert_eq!(TraceContext::parse(&later), Some(read));
        for bad in [
            String::new(),
            whole.replacen("00", "ff", 1),
            whole.to_uppercase(),
            format!("{whole}-x"),
            whole.replace("b7ad6b7169203331", "0000000000000000"),
            whole.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            whole[..54].to_owned(),
            whole.replace("0af7", "+af7"),
        ] {
            assert_eq!(TraceContext::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_tracestate_is_passed_on_if_it_can_stand_in_a_header() {
        assert_eq!(state(" a=1,b=2 "), Some("a=1,b=2"));
        for bad in ["", " ", "a=é", "a=1\r\nx: y", &"a".repeat(513)] {
            assert_eq!(state(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_ratio_keeps_its_part() {
        assert!(Ratio::ALL.keeps(1 << 60));
        let none = Ratio::new(0.0).expect("from 0 to 1");
        assert!(none.is_none() && !none.keeps(u128::MAX));
        let half = Ratio::new(0.5).expect("from 0 to 1");
        assert!(half.keeps(u128::MAX) && !half.keeps(1 << 120) && !half.is_none());
        assert!((half.percent() - 50.0).abs() < f64::EPSILON);
        assert_eq!(Ratio::new(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1..=u128::MAX, span in 1..=u64::MAX, sampled: bool) {
            let context = TraceContext { trace, span, sampled };
            prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        }

        #[test]
        fn whatever_stands_there_is_no_danger(text in "(?s).{0,70}") {
            let _ = TraceContext::parse(&text);
            let _ = state(&text);
        }
    }
}
