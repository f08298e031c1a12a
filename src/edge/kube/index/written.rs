//! Which statuses have been asked for already: a change is told once, and again only if the object shows something else.

use super::Timestamp;
use super::changes::{Note, Status, StatusChange, Weight};
use super::conditions::{self, Verdict};
use super::object::Key;
use super::status::READY;
use crate::edge::kube::plan::Owner;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// What was asked for, by object.
#[derive(Debug, Default)]
pub(crate) struct Written {
    wishes: HashMap<Key, Wish>,
}

#[derive(Debug)]
struct Wish {
    uid: Arc<str>,
    conditions: Vec<Condition>,
    asked: Value,
    /// What the object showed then.
    seen: Value,
}

/// What an object should show.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The object.
    pub key: Key,
    /// The same, with version and uid.
    pub owner: Owner,
    /// The generation that was looked at.
    pub generation: Option<i64>,
    /// Its conditions.
    pub verdicts: Vec<Verdict>,
    /// The other fields of its status, without those that are absent.
    pub fields: serde_json::Map<String, Value>,
}

/// What an object shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// Types of conditions that are ours.
    pub ours: &'a [&'a str],
    /// All its conditions.
    pub conditions: &'a [Condition],
    /// Its status.
    pub status: &'a Value,
}

impl Written {
    /// What is to be written, and the event that goes with it; nothing if the object shows it, or will.
    pub(crate) fn decide(
        &mut self,
        wanted: Wanted,
        shown: Shown<'_>,
        now: Timestamp,
    ) -> Option<(StatusChange, Option<Note>)> {
        let seen = own_part(shown.status, shown.ours);
        let before = self.wishes.get(&wanted.key).filter(|wish| wish.uid == wanted.owner.uid);
        let base = before.map_or(shown.conditions, |wish| &wish.conditions);
        let conditions = conditions::fold(base, &wanted.verdicts, wanted.generation, now);
        let mut asked = wanted.fields;
        asked.insert("conditions".to_owned(), json!(conditions));
        let asked = own_part(&Value::Object(asked), shown.ours);
        let waits = before.is_some_and(|wish| wish.asked == asked && wish.seen == seen);
        if asked == seen {
            // Fulfilled: whoever changes it back makes it a wish again.
            self.wishes.remove(&wanted.key);
            return None;
        }
        if waits {
            return None;
        }
        let note = note(base, &wanted.verdicts, &wanted.owner);
        let wish = Wish {
            uid: Arc::clone(&wanted.owner.uid),
            conditions,
            asked: asked.clone(),
            seen,
        };
        self.wishes.insert(wanted.key.clone(), wish);
        let change = StatusChange {
            key: wanted.key,
            owner: wanted.owner,
            status: Status::Applied(asked),
        };
        Some((change, note))
    }

    /// The object is gone, or the wish was not fulfilled: it is made again.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.wishes.remove(key);
    }
}

/// A status without conditions of others, in a stable order.
fn own_part(status: &Value, ours: &[&str]) -> Value {
    let mut status = status.as_object().cloned().unwrap_or_default();
    let kind = |condition: &Value| {
        condition
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(Value::Array(conditions)) = status.get_mut("conditions") {
        conditions.retain(|condition| ours.contains(&kind(condition).as_str()));
        conditions.sort_by_key(kind);
    }
    Value::Object(status)
}

/// An event when readiness, or the reason for its lack, has changed.
fn note(before: &[Condition], verdicts: &[Verdict], about: &Owner) -> Option<Note> {
    let verdict = verdicts.iter().find(|verdict| verdict.kind == READY)?;
    let before = before.iter().find(|condition| condition.type_ == READY);
    let same = before
        .is_some_and(|before| before.status == verdict.status.as_str() && before.reason == verdict.reason.as_ref());
    // The beginning is no news.
    let beginning = before.is_none() && verdict.reason == "Pending";
    (!same && !beginning).then(|| Note {
        about: about.clone(),
        weight: match verdict.status {
            conditions::Truth::True => Weight::Normal,
            conditions::Truth::False => Weight::Warning,
        },
        reason: verdict.reason.clone().into_owned(),
        message: verdict.message.clone(),
    })
}
