//! `audit:`: where audit lines go, and what they say of arguments.

use super::file::{Findings, Sections};
use serde::Deserialize;
use std::path::PathBuf;

/// Audit lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Where they go.
    pub to: AuditTarget,
    /// What they say of the arguments of tools and prompts.
    pub arguments: AuditArguments,
}

/// Where audit lines go.
#[derive(Clone, Debug, PartialEq)]
pub enum AuditTarget {
    /// Nowhere.
    Off,
    /// Standard error.
    Stderr,
    /// Appended to this file.
    File(PathBuf),
}

/// What is said of arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditArguments {
    /// Nothing.
    #[default]
    None,
    /// The SHA-256 of their bytes.
    Hash,
    /// Their bytes, up to a limit.
    Full,
}

impl Audit {
    /// Without `audit:` in the file.
    pub const DEFAULT: Self = Self {
        to: AuditTarget::Stderr,
        arguments: AuditArguments::None,
    };

    /// Lines are written at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.to != AuditTarget::Off
    }

    /// What has to be kept of arguments for the line.
    #[must_use]
    pub fn wanted_arguments(&self) -> AuditArguments {
        if self.is_on() {
            self.arguments
        } else {
            AuditArguments::None
        }
    }
}

/// `audit:`
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected false or { file: PATH, arguments: none, hash or full }"
)]
enum RawAudit {
    Switch(bool),
    Mapping(RawMapping),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMapping {
    file: Option<PathBuf>,
    arguments: Option<String>,
}

/// Reads `audit:`.
pub(super) fn read(sections: &mut Sections, findings: &mut Findings) -> Audit {
    match sections.take("audit", findings) {
        None | Some(RawAudit::Switch(true)) => Audit::DEFAULT,
        Some(RawAudit::Switch(false)) => Audit {
            to: AuditTarget::Off,
            ..Audit::DEFAULT
        },
        Some(RawAudit::Mapping(raw)) => Audit {
            to: raw.file.map_or(AuditTarget::Stderr, |file| {
                AuditTarget::File(findings.resolve("audit.file", &file))
            }),
            arguments: arguments(raw.arguments.as_deref(), findings),
        },
    }
}

fn arguments(text: Option<&str>, findings: &mut Findings) -> AuditArguments {
    match text {
        None | Some("none") => AuditArguments::None,
        Some("hash") => AuditArguments::Hash,
        Some("full") => AuditArguments::Full,
        Some(_) => {
            findings.add("audit.arguments", "must be none, hash or full");
            AuditArguments::None
        }
    }
}
