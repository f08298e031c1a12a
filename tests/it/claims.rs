//! What `make fuzz` tries with millions of inputs (tests/fuzz/claims) is tried here with some hundred each, made of pieces
//! of messages: so the claims are compiled and run wherever tests are.

#[path = "../fuzz/claims/bridge.rs"]
mod bridge;
#[path = "../fuzz/claims/envelope.rs"]
mod envelope;
#[path = "../fuzz/claims/events.rs"]
mod events;
#[path = "../fuzz/claims/expression.rs"]
mod expression;
#[path = "../fuzz/claims/ids.rs"]
mod ids;
#[path = "../fuzz/claims/inspect.rs"]
mod inspect;
#[path = "../fuzz/claims/session.rs"]
mod session;
#[path = "../fuzz/claims/splice.rs"]
mod splice;
#[path = "../fuzz/claims/sse.rs"]
mod sse;
#[path = "../fuzz/claims/tasks.rs"]
mod tasks;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Whole inputs, of which a part is replaced.
const WHOLES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_b","arguments":{"x":1},"_meta":{"k":"v"}}}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"sampling/createMessage","params":{"messages":[]}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"mg:up:1"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[],"isError":true}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t","status":"working"},"nextCursor":"c"}}"#,
    "event: message\nid: 7\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"roots/list\"}\n\n: keep-alive\n\n",
    "tool.name == 'a_b' && arguments.amount > 100 || !('admin' in roles)",
    "tool.annotations.destructiveHint == true ? method.startsWith('tools/') : size(claims.groups) < 3",
];
/// What stands in its place.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0022",
    "\n",
    "\r\n",
    "data: ",
    "id: ",
    "null",
    "-1e9",
    "true",
    "'a'",
    " in ",
    "==",
    "&&",
    "[0]",
    ".x",
    "(",
    ")",
    "\"id\":2,",
    "\"method\":\"ping\",",
    "\"params\":{},",
    "\"name\":\"c\",",
    "\"taskId\":\"u\",",
    "mg:",
    "\u{fffd}",
    "é",
    "\0",
];

fn mk_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => select(PIECES).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    let edit = (any::<prop::sample::Index>(), 0_usize..8, piece.clone());
    let edited = (select(WHOLES), vec(edit, 0..4)).prop_map(|(whole, edits)| {
        edits.into_iter().fold(whole.to_owned(), |mut text, (at, len, piece)| {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + len).min(text.len()));
            text.replace_range(start..end, &piece);
            text
        })
    });
    prop_oneof![3 => edited, 1 => vec(piece, 0..24).prop_map(|pieces| pieces.concat())]
}

fn mk_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => mk_text().prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..64)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_bridged_stays_what_it_was(method: u8, message in mk_bytes()) {
        bridge::check((method, &message));
    }

    #[test]
    fn an_envelope_says_what_its_tree_says(body in mk_bytes()) {
        envelope::check(&body);
    }

    #[test]
    fn no_events_end_an_exchange_undecided(start: u8, events in vec((any::<u8>(), mk_bytes()), 0..12)) {
        let events = events.iter().map(|(kind, bytes)| (*kind, bytes.as_slice()));
        events::check((start, events.collect()));
    }

    #[test]
    fn an_expression_is_judged_alike_each_time(text in mk_text(), name in "[a-c_]{0,3}", arguments in mk_text()) {
        expression::check((&text, &name, &arguments));
    }

    #[test]
    fn ids_lead_back(message in mk_bytes()) {
        ids::check(&message);
    }

    #[test]
    fn an_inspected_stream_is_the_same_however_it_is_cut(size: u8, wire in mk_bytes()) {
        inspect::check((size, &wire));
    }

    #[test]
    fn nothing_but_what_was_signed_is_a_session(
        key: u128, principal: u64, endpoint: u32, position: u8, bytes in vec(any::<u8>(), 0..80),
    ) {
        session::check((key, principal, endpoint, position, &bytes));
    }

    #[test]
    fn a_spliced_name_is_read_back(name in mk_text(), body in mk_bytes()) {
        splice::check((&name, &body));
    }

    #[test]
    fn events_are_the_same_however_the_stream_is_cut(size: u8, wire in mk_bytes()) {
        sse::check((size, &wire));
    }

    #[test]
    fn tasks_in_a_stream_are_the_same_however_it_is_cut(size: u8, wire in mk_bytes()) {
        tasks::check((size, &wire));
    }
}
