//! Writes the `<=` lines of a transcript.

use crate::engine::exchange::step::{
    Addressee, Command, HeaderName, HeaderWork, Listen, Metadata, Notice, Question, Reply,
};
use bytes::Bytes;
use std::fmt::Write;

pub(super) fn show_reply(out: &mut String, reply: &Reply) {
    match reply {
        Reply::RequestHeaders(work) => show_work(out, "request-headers", work),
        Reply::RequestChunk { body, end } => show_body(out, "request-body", body, *end),
        Reply::RequestBuffered { headers, body } => {
            show_work(out, "request-body-buffered", headers);
            show_body(out, "  with body", body.as_ref().unwrap_or(&Bytes::new()), true);
        }
        Reply::RequestTrailers => out.push_str("<= request-trailers\n"),
        Reply::ResponseHeaders(work) => show_work(out, "response-headers", work),
        Reply::ResponseChunk { body, end } => show_body(out, "response-body", body, *end),
        Reply::ResponseTrailers => out.push_str("<= response-trailers\n"),
        Reply::Answer(answer) => {
            let _ = writeln!(out, "<= answer {} {}", answer.status, answer.details);
            show_headers(out, &answer.headers);
            show_metadata(out, answer.metadata.as_deref());
            let body = answer.body.concat();
            let _ = writeln!(out, "{}", String::from_utf8_lossy(&body));
        }
        Reply::StreamHead {
            status,
            headers,
            metadata,
        } => {
            let _ = writeln!(out, "<= stream {status}");
            show_headers(out, headers);
            show_metadata(out, metadata.as_deref());
        }
        Reply::StreamChunk { body, end } => show_body(out, "stream-body", &body.concat().into(), *end),
    }
}

pub(super) fn show_work(out: &mut String, kind: &str, work: &HeaderWork) {
    let _ = writeln!(out, "<= {kind}{}", if work.clear_route { " clear-route" } else { "" });
    for (name, value) in &work.set {
        let _ = writeln!(out, "   {name}: {}", String::from_utf8_lossy(value));
    }
    for name in &work.remove {
        let _ = writeln!(out, "   - {name}");
    }
    show_metadata(out, work.metadata.as_deref());
}

pub(super) fn show_headers(out: &mut String, headers: &[(HeaderName, Bytes)]) {
    for (name, value) in headers {
        let _ = writeln!(out, "   {name}: {}", String::from_utf8_lossy(value));
    }
}

pub(super) fn show_metadata(out: &mut String, metadata: Option<&Metadata>) {
    let Some(metadata) = metadata else { return };
    let facts = [
        metadata.method.as_deref().map(|value| format!("method={value}")),
        metadata.id.as_deref().map(|value| format!("id={value}")),
        metadata.tool.as_deref().map(|value| format!("tool={value}")),
        metadata.upstream.as_deref().map(|value| format!("upstream={value}")),
        metadata.session.as_deref().map(|_| "session".to_owned()),
        metadata.era.map(|value| format!("era={value}")),
        metadata.answered.then(|| "answered".to_owned()),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let _ = writeln!(out, "   metadata {}", facts.join(" "));
}

pub(super) fn show_body(out: &mut String, kind: &str, body: &Bytes, end: bool) {
    let _ = writeln!(out, "<= {kind}{}", if end { " end" } else { "" });
    if !body.is_empty() {
        let _ = writeln!(out, "{}", String::from_utf8_lossy(body).trim_end());
    }
}

pub(super) fn show_command(out: &mut String, command: &Command) {
    let _ = match command {
        Command::Ask(question) => writeln!(out, "<= ask {}", show_question(question)),
        Command::Attend(attended) => {
            let pushes = if attended.pushes { ", what is pushed too" } else { "" };
            let resume = attended.resume.as_ref();
            let resume = resume.map(|at| format!(", read on after {} in {:?}", at.last, at.after));
            let _ = writeln!(out, "<= attend{pushes}{}", resume.unwrap_or_default());
            return show_command(out, &Command::Call(attended.call.clone()));
        }
        Command::Call(call) => {
            let _ = writeln!(out, "<= call {} within {:?}", call.upstream, call.timeout);
            for (name, value) in &call.headers {
                let _ = writeln!(out, "   {name}: {}", String::from_utf8_lossy(value));
            }
            for (name, value) in call.passed.iter() {
                let name = String::from_utf8_lossy(name);
                let _ = writeln!(out, "   passed {name}: {}", String::from_utf8_lossy(&value));
            }
            writeln!(out, "{}", String::from_utf8_lossy(&call.body))
        }
        Command::CancelCall => writeln!(out, "<= cancel-call"),
        Command::OutliveCall => writeln!(out, "<= outlive-call"),
        Command::Expect { session, id } => writeln!(out, "<= expect {} {id}", session.0),
        Command::Watch { session, id } => writeln!(out, "<= watch {} {id}", session.0),
        Command::Notify(Notice::Close { upstream, binding }) => {
            writeln!(
                out,
                "<= notify close {upstream} {}",
                binding.id.as_deref().unwrap_or("-")
            )
        }
        Command::Notify(Notice::Level {
            upstream,
            binding,
            level,
        }) => {
            let id = binding.id.as_deref().unwrap_or("-");
            writeln!(out, "<= notify level {upstream} {id} {}", level.as_str())
        }
        Command::Notify(Notice::Relist { upstream }) => writeln!(out, "<= notify relist {upstream}"),
        Command::Notify(Notice::Cancelled { upstream, binding, id }) => {
            writeln!(
                out,
                "<= notify cancelled {upstream} {} id={id}",
                binding.id.as_deref().unwrap_or("-")
            )
        }
        Command::Notify(Notice::Tell {
            upstream,
            binding,
            message,
        }) => {
            let id = binding.id.as_deref().unwrap_or("-");
            writeln!(
                out,
                "<= notify tell {upstream} {id}\n{}",
                String::from_utf8_lossy(message)
            )
        }
        Command::Subscribe {
            session,
            subscription,
            wanted,
        } => {
            let (upstream, uri) = (&subscription.upstream, &subscription.uri);
            writeln!(out, "<= subscribe {} {upstream} {uri} {wanted:?}", session.key.0)
        }
        Command::Notify(Notice::Delegated {
            upstream, delegation, ..
        }) => {
            writeln!(out, "<= notify delegated {upstream} {delegation:?}")
        }
        Command::Notify(Notice::Refreshed {
            upstream, delegation, ..
        }) => {
            writeln!(out, "<= notify refreshed {upstream} {delegation:?}")
        }
        Command::Notify(Notice::Spent(delegation)) => writeln!(out, "<= notify spent {delegation:?}"),
        Command::Notify(Notice::Changed { upstream, kinds, .. }) => {
            writeln!(out, "<= notify changed {upstream} {kinds:?}")
        }
        Command::Notify(Notice::Return { borrower, binding }) => {
            let id = binding.id.as_deref().unwrap_or("-");
            writeln!(out, "<= notify return {} {id}", borrower.upstream)
        }
        Command::Park(key, parked) => writeln!(out, "<= park {:x} until {}", key.0, parked.expires().0),
        Command::Resume(key) => writeln!(out, "<= resume {:x}", key.0),
        Command::Listen(Listen::Session {
            session, last, alone, ..
        }) => {
            let last = last
                .as_deref()
                .map(|last| format!(" behind {last}"))
                .unwrap_or_default();
            let alone = alone
                .as_deref()
                .map(|alone| format!(" only {alone}"))
                .unwrap_or_default();
            writeln!(out, "<= listen {}{last}{alone}", session.key.0)
        }
        Command::Listen(Listen::Modern {
            endpoint: _,
            principal: _,
            tag,
            kinds,
            parts,
            delegations: _,
        }) => {
            let kinds: Vec<_> = kinds.methods().collect();
            let tag = String::from_utf8_lossy(tag);
            let _ = writeln!(out, "<= listen {tag} {}", kinds.join(" "));
            for part in parts {
                let _ = writeln!(out, "   {} {} {}", part.upstream, part.era.as_str(), part.members());
            }
            Ok(())
        }
        Command::Arm(duration) => writeln!(out, "<= arm {duration:?}"),
        Command::Disarm => writeln!(out, "<= disarm"),
    };
}

pub(super) fn show_question(question: &Question) -> String {
    match question {
        Question::Delegate(errand) => format!("delegate {} {}", errand.upstream, errand.principal),
        Question::View(viewer) => {
            let voices = viewer.voices.iter();
            let voices = voices.map(|(index, voice)| format!(" {}={voice:?}", index.0));
            format!("view {}{}", viewer.principal, voices.collect::<String>())
        }
        Question::Compare(claimed) => format!("compare {}", claimed.name),
        Question::Admit(charges) => {
            let charges = charges.iter();
            let each = charges.map(|charge| {
                let (name, bucket) = (&charge.limit.name, charge.bucket.join("|"));
                format!(" {name}[{bucket}]={}", charge.cost)
            });
            format!("admit{}", each.collect::<String>())
        }
        Question::Hold(places) => {
            let each = places.iter();
            let each = each.map(|place| format!(" {} {}/{}", place.kind.as_str(), place.key, place.most));
            format!("hold{}", each.collect::<String>())
        }
        Question::Recall(session) => format!("recall {}", session.key.0),
        Question::Introduce(session) => format!("introduce {}", session.key.0),
        Question::Start { session, client, .. } => {
            format!(
                "start {} capabilities={} info={}",
                session.key.0, client.capabilities, client.info
            )
        }
        Question::SetLevel { session, level } => format!("set-level {} {}", session.key.0, level.as_str()),
        Question::Bind { session, upstream, .. } => format!("bind {} {upstream}", session.key.0),
        Question::OneShot { upstream, version, .. } => format!("one-shot {upstream} {}", version.as_str()),
        Question::Borrow { borrower, .. } => {
            let level = borrower.level.map_or("-", crate::engine::session::Level::as_str);
            let (version, client) = (borrower.version.as_str(), &borrower.client);
            format!(
                "borrow {} {version} capabilities={} info={} level={level}",
                borrower.upstream, client.capabilities, client.info
            )
        }
        Question::Renew { borrower, stale, .. } => {
            format!("renew {} {}", borrower.upstream, stale.id.as_deref().unwrap_or("-"))
        }
        Question::Recover {
            session,
            upstream,
            stale,
            ..
        } => {
            let session = session.map_or("-".to_owned(), |session| session.key.0.to_string());
            format!("recover {session} {upstream} {}", stale.id.as_deref().unwrap_or("-"))
        }
        Question::End(session) => format!("end {}", session.key.0),
        Question::Tell { session, to, message } => {
            let message = String::from_utf8_lossy(message);
            format!("tell {} {}\n{message}", session.key.0, show_addressee(to))
        }
    }
}

fn show_addressee(to: &Addressee) -> String {
    match to {
        Addressee::Upstream(name) => name.to_string(),
        Addressee::Stateless(name, binding) => format!("stateless {name} {}", binding.version.as_str()),
        Addressee::Only => "the only one".to_owned(),
        Addressee::Exchange(id) => format!("the exchange that asked {id}"),
        Addressee::Owner(id) => format!("the owner of {id}"),
        Addressee::All => "all".to_owned(),
    }
}
