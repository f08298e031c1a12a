//! Asks the client in the way of its era: by the result of the call, or by requests on the call's stream.
//!
//! The tools themselves know one way only (see `input_required`): they answer with their questions until everything
//! they need has come back. For a legacy client this file puts the questions and calls the tool again.

use futures_util::future::try_join_all;
use rmcp::ErrorData;
use rmcp::model::{InputRequest, InputRequests, InputResponses, ProtocolVersion};
use rmcp::service::{Peer, RequestContext, RoleServer, ServiceError};
use serde_json::Value;

type Context = RequestContext<RoleServer>;

/// Whether this request is one of the revision without sessions.
pub(crate) fn is_modern(context: &Context) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// The client's answers, all questions put at once. `Err` is for people: what the client said instead.
pub(crate) async fn put(peer: &Peer<RoleServer>, questions: InputRequests) -> Result<InputResponses, ErrorData> {
    let answers = questions
        .into_iter()
        .map(async |(key, question)| Ok::<_, ServiceError>((key, answer(peer, question).await?)));
    let answers = try_join_all(answers).await;
    answers
        .map(|answers| answers.into_iter().collect())
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

async fn answer(peer: &Peer<RoleServer>, question: InputRequest) -> Result<Value, ServiceError> {
    let value = match question {
        InputRequest::CreateMessage(request) => serde_json::to_value(peer.create_message(request.params).await?),
        InputRequest::Elicitation(request) => serde_json::to_value(peer.create_elicitation(request.params).await?),
        InputRequest::ListRoots(_) => serde_json::to_value(peer.list_roots().await?),
        _ => return Err(ServiceError::UnexpectedResponse),
    };
    Ok(value.unwrap_or_default())
}
