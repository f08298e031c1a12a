//! What became of the upstreams, as it travels: all of them first, then those that changed. Pure.
//!
//! Words of a newer processor that are not known here are skipped: a report is for reading, nothing is decided on it.

use super::proto;
use crate::engine::mcp::{Era, Version};
use crate::engine::status::{Reason, UpstreamStatus};
use prost::Message;
use std::collections::{BTreeMap, HashMap};

/// Bytes after which a piece is closed.
const PIECE: usize = 512 << 10;
/// Bytes of one text that somebody else wrote (an upstream's error page). The rest is cut.
const LONGEST_TEXT: usize = 512;
const MOST_WARNINGS: usize = 10;
/// A longer name is nobody's.
const LONGEST_NAME: usize = 253;
/// Upstreams of one processor that are remembered.
const MOST_UPSTREAMS: usize = 10_000;

/// The pieces that tell `new` to whom knows `old`; to whom knows nothing, if there is none. None if nothing changed.
pub(super) fn pieces(old: Option<&[UpstreamStatus]>, new: &[UpstreamStatus]) -> Vec<proto::Report> {
    let known: HashMap<&str, &UpstreamStatus> = old
        .unwrap_or_default()
        .iter()
        .map(|status| (status.name.as_str(), status))
        .collect();
    let mut gone: HashMap<&str, &UpstreamStatus> = known.clone();
    let mut all = vec![proto::Report {
        whole: old.is_none(),
        ..proto::Report::default()
    }];
    let mut size = 0;
    for status in new {
        gone.remove(status.name.as_str());
        if known.get(status.name.as_str()).is_some_and(|old| *old == status) {
            continue;
        }
        let message = write(status);
        size += message.encoded_len();
        if size > PIECE {
            if let Some(full) = all.last_mut() {
                full.more = true;
            }
            all.push(proto::Report::default());
            size = message.encoded_len();
        }
        if let Some(piece) = all.last_mut() {
            piece.changed.push(message);
        }
    }
    if let Some(last) = all.last_mut() {
        last.gone = gone.keys().map(ToString::to_string).collect();
        last.gone.sort();
        if !last.whole && last.changed.is_empty() && last.gone.is_empty() && all.len() == 1 {
            return Vec::new();
        }
    }
    all
}

/// What one processor has reported so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    upstreams: BTreeMap<String, UpstreamStatus>,
}

impl Told {
    /// Takes a piece in; once a report is complete, the state of every upstream.
    pub(super) fn take(&mut self, piece: proto::Report) -> Option<Vec<UpstreamStatus>> {
        if piece.whole {
            self.upstreams.clear();
        }
        for name in &piece.gone {
            self.upstreams.remove(name);
        }
        for raw in piece.changed {
            let status = read(raw);
            let room = self.upstreams.len() < MOST_UPSTREAMS || self.upstreams.contains_key(&status.name);
            if room && status.name.len() <= LONGEST_NAME {
                self.upstreams.insert(status.name.clone(), status);
            }
        }
        (!piece.more).then(|| self.upstreams.values().cloned().collect())
    }
}

fn write(status: &UpstreamStatus) -> proto::UpstreamStatus {
    proto::UpstreamStatus {
        name: status.name.clone(),
        prefix: status.prefix.clone(),
        url: cut(&status.url),
        enabled: status.enabled,
        ready: status.ready,
        reason: status.reason.as_str().to_owned(),
        eras: status.eras.iter().map(|era| era.as_str().to_owned()).collect(),
        protocol_version: status.protocol_version.map(|version| version.as_str().to_owned()),
        tools: status.tools as u64,
        prompts: status.prompts as u64,
        resources: status.resources as u64,
        last_listed: status.last_listed.clone(),
        last_error: status.last_error.as_deref().map(cut),
        warnings: status
            .warnings
            .iter()
            .take(MOST_WARNINGS)
            .map(|text| cut(text))
            .collect(),
    }
}

fn read(raw: proto::UpstreamStatus) -> UpstreamStatus {
    UpstreamStatus {
        name: raw.name,
        prefix: cut(&raw.prefix),
        url: cut(&raw.url),
        enabled: raw.enabled,
        ready: raw.ready,
        reason: Reason::parse(&raw.reason).unwrap_or(if raw.ready { Reason::Ready } else { Reason::Pending }),
        eras: [Era::Legacy, Era::Modern]
            .into_iter()
            .filter(|era| raw.eras.iter().any(|text| text == era.as_str()))
            .collect(),
        protocol_version: raw.protocol_version.as_deref().and_then(Version::parse),
        tools: count(raw.tools),
        prompts: count(raw.prompts),
        resources: count(raw.resources),
        last_listed: raw.last_listed.as_deref().map(cut),
        last_error: raw.last_error.as_deref().map(cut),
        warnings: raw.warnings.iter().take(MOST_WARNINGS).map(|text| cut(text)).collect(),
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_TEXT);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn mk_status(name: &str) -> UpstreamStatus {
        UpstreamStatus {
            name: name.to_owned(),
            prefix: format!("{name}_"),
            url: format!("http://{name}/mcp"),
            enabled: true,
            ready: true,
            reason: Reason::Ready,
            eras: vec![Era::Legacy, Era::Modern],
            protocol_version: Some(Version::NEWEST),
            tools: 3,
            prompts: 2,
            resources: 1,
            last_listed: Some("2026-11-21T10:00:00Z".to_owned()),
            last_error: None,
            warnings: vec!["two tools of one name".to_owned()],
        }
    }

    fn hear(told: &mut Told, pieces: Vec<proto::Report>) -> Option<Vec<UpstreamStatus>> {
        pieces.into_iter().filter_map(|piece| told.take(piece)).next_back()
    }

    #[test]
    fn the_first_report_tells_of_all_and_the_next_of_what_changed() {
        let old = vec![mk_status("a"), mk_status("b"), mk_status("c")];
        let mut new = vec![mk_status("a"), mk_status("c"), mk_status("d")];
        new[1].reason = Reason::Unreachable;
        new[1].ready = false;
        new[1].last_error = Some("refused".to_owned());

        let mut told = Told::default();
        assert_eq!(hear(&mut told, pieces(None, &old)), Some(old.clone()));
        let change = pieces(Some(&old), &new);
        let names: Vec<&str> = change
            .iter()
            .flat_map(|piece| &piece.changed)
            .map(|status| status.name.as_str())
            .collect();
        assert_eq!(names, ["c", "d"], "b is only named as gone");
        assert_eq!(hear(&mut told, change), Some(new.clone()));
        assert!(pieces(Some(&new), &new).is_empty(), "nothing to tell");
    }

    #[test]
    fn a_report_without_upstreams_is_told_too() {
        assert_eq!(hear(&mut Told::default(), pieces(None, &[])), Some(Vec::new()));
    }

    #[test]
    fn a_long_report_is_cut_into_pieces_and_counts_only_when_complete() {
        let all: Vec<UpstreamStatus> = (0..2_000)
            .map(|index| UpstreamStatus {
                last_error: Some("x".repeat(LONGEST_TEXT * 2)),
                ..mk_status(&format!("u{index:04}"))
            })
            .collect();
        let pieces = pieces(None, &all);
        assert!(pieces.len() > 1, "{}", pieces.len());
        assert!(pieces.iter().all(|piece| piece.encoded_len() < PIECE + 4096));
        let mut told = Told::default();
        let heard: Vec<usize> = pieces
            .into_iter()
            .filter_map(|piece| told.take(piece))
            .map(|all| all.len())
            .collect();
        assert_eq!(heard, [2_000], "once");
    }

    #[test]
    fn words_of_a_newer_processor_are_skipped() {
        let raw = proto::UpstreamStatus {
            reason: "Bewitched".to_owned(),
            eras: vec!["modern".to_owned(), "future".to_owned()],
            protocol_version: Some("2030-01-01".to_owned()),
            ..write(&mk_status("a"))
        };
        let status = read(raw);
        assert_eq!(status.reason, Reason::Ready);
        assert_eq!(status.eras, [Era::Modern]);
        assert_eq!(status.protocol_version, None);
    }
}
