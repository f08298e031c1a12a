//! `/control`: the strings of the puppet.
//!
//! | request | does |
//! |---|---|
//! | `GET seen` | how often each method was posted, as a JSON object |
//! | `PUT tools/NAME`, `DELETE tools/NAME` | changes the list of tools and tells whoever watches |
//! | `POST updated?uri=URI` | tells subscribers that the resource has changed |
//! | `POST forget` | forgets all sessions: their ids are unknown from now on |
//! | `PUT answer?method=M&status=S&type=T` | posts of that method get this body; `$id` in it becomes the request's raw id |
//! | `DELETE answer?method=M` | the truth again |

use crate::catalog::simple_tool;
use crate::state::{State, locked};
use crate::subscriptions::Changed;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::{StatusCode, header};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct Seen {
    methods: BTreeMap<String, u64>,
    answers: HashMap<String, Answer>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    content_type: String,
    body: String,
}

#[derive(Deserialize)]
struct AnswerQuery {
    method: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default = "json", rename = "type")]
    content_type: String,
}

#[derive(Deserialize)]
struct ResourceQuery {
    uri: String,
}

fn ok() -> u16 {
    200
}

fn json() -> String {
    "application/json".to_owned()
}

pub(crate) fn router(state: Arc<State>, sessions: Arc<LocalSessionManager>) -> Router {
    let (add, remove, updated) = (Arc::clone(&state), Arc::clone(&state), Arc::clone(&state));
    let (set, unset, seen) = (Arc::clone(&state), Arc::clone(&state), state);
    Router::new()
        .route("/seen", get(async move || Json(locked(&seen.seen).methods.clone())))
        .route(
            "/tools/{name}",
            put(async move |Path(name): Path<String>| {
                locked(&add.catalog).tools.push(simple_tool(&name));
                add.watchers.tell(Changed::Tools).await;
            })
            .delete(async move |Path(name): Path<String>| {
                locked(&remove.catalog).tools.retain(|tool| tool.name != name);
                remove.watchers.tell(Changed::Tools).await;
            }),
        )
        .route(
            "/updated",
            post(async move |Query(query): Query<ResourceQuery>| updated.watchers.tell_updated(&query.uri).await),
        )
        .route("/forget", post(async move || sessions.sessions.write().await.clear()))
        .route(
            "/answer",
            put(async move |Query(query): Query<AnswerQuery>, body: String| set_answer(&set, query, body)).delete(
                async move |Query(query): Query<AnswerQuery>| {
                    locked(&unset.seen).answers.remove(&query.method);
                },
            ),
        )
}

fn set_answer(state: &State, query: AnswerQuery, body: String) -> StatusCode {
    let Ok(status) = StatusCode::from_u16(query.status) else {
        return StatusCode::BAD_REQUEST;
    };
    let answer = Answer {
        status,
        content_type: query.content_type,
        body,
    };
    locked(&state.seen).answers.insert(query.method, answer);
    StatusCode::NO_CONTENT
}

/// Counts a posted message; `Some` where a test has set the answer.
pub(crate) fn note(state: &State, body: &Bytes) -> Option<Response> {
    #[derive(Deserialize)]
    struct Message<'a> {
        method: String,
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    let message: Message<'_> = serde_json::from_slice(body).ok()?;
    let mut seen = locked(&state.seen);
    *seen.methods.entry(message.method.clone()).or_default() += 1;
    let answer = seen.answers.get(&message.method)?;
    let body = answer.body.replace("$id", message.id.map_or("null", RawValue::get));
    Some(
        (
            answer.status,
            [(header::CONTENT_TYPE, answer.content_type.clone())],
            body,
        )
            .into_response(),
    )
}
