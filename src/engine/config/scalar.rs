//! Durations, sizes and counts as they are written in the file.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::time::Duration;

/// Longer ones would only overflow what adds them to a point in time.
const MAX_DURATION: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// `500ms`, `30s`, `5m`, `2h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span(pub(super) Duration);

/// Bytes: `4MiB`, `100KiB`, `1GiB`, `65536`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size(pub(super) usize);

/// A whole number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Count(pub(super) u32);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a duration such as 500ms, 30s, 5m or 30d")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                span(text).map(Span).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = Size;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a size such as 100KiB, 4MiB or a number of bytes")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Size, E> {
                usize::try_from(number)
                    .map(Size)
                    .map_err(|_| E::custom("more bytes than this machine can count"))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                size(text).map(Size).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Count;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Count, E> {
                u32::try_from(number)
                    .map(Count)
                    .map_err(|_| E::custom(format_args!("at most {}", u32::MAX)))
            }
        }
        deserializer.deserialize_u64(Number)
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a duration: write it such as 500ms, 30s, 5m or 30d"))?;
    if duration > MAX_DURATION {
        Err("longer than 3650d".to_owned())
    } else {
        Ok(duration)
    }
}

fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is not a size: write it such as 100KiB, 4MiB or a number of bytes");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: usize = number.parse().map_err(|_| wrong())?;
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| "more bytes than this machine can count".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert!(span("30").is_err() && span("").is_err() && span("-1s").is_err());
        assert!(span("10000y").is_err(), "a deadline that far away overflows");
    }

    #[test]
    fn sizes_are_binary_or_plain() {
        assert_eq!(size("4MiB"), Ok(4 << 20));
        assert_eq!(size("100 KiB"), Ok(100 << 10));
        assert_eq!(size("65536"), Ok(65_536));
        for wrong in ["4MB", "MiB", "", "1.5MiB", "-1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(size("99999999999GiB").is_err(), "does not fit");
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in ".{0,24}") {
            let _ = span(&text);
            let _ = size(&text);
        }
    }
}
