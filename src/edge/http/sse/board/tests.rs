use super::*;
use proptest::prelude::*;

fn mk_call(board: &mut Board, body: &str) -> Outlet {
    let (inlet, outlet) = pipe(1 << 20);
    let message = Message::read(body.as_bytes()).expect("a message");
    let flight = Flight::of(&message, inlet).expect("a request");
    assert!(board.begin(flight).is_ok(), "{body}");
    outlet
}

fn hear(board: &mut Board, message: &str) -> Option<Bytes> {
    board.hear(&Bytes::copy_from_slice(message.as_bytes()))
}

/// What waits to be read, `!` after the last.
fn read(outlet: &mut Outlet) -> Vec<String> {
    std::iter::from_fn(|| outlet.waiting())
        .map(|piece| match piece {
            Piece::Message(data) => String::from_utf8_lossy(&data).into_owned(),
            Piece::Last(data) => String::from_utf8_lossy(&data).into_owned() + "!",
            Piece::Refused(response) => format!("{}!", response.status()),
            Piece::Failed(error) => format!("{error}!"),
        })
        .collect()
}

const LOG: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

#[test]
fn logs_go_to_the_latest_call_that_may_have_caused_them() {
    let mut board = Board::new();
    let mut first = mk_call(&mut board, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    let mut second = mk_call(&mut board, r#"{"jsonrpc":"2.0","id":2,"method":"prompts/get"}"#);
    let mut own = mk_call(&mut board, r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#);
    hear(&mut board, LOG);
    hear(&mut board, r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
    hear(&mut board, LOG);
    hear(&mut board, CHANGED);
    assert_eq!(read(&mut second), [LOG, r#"{"jsonrpc":"2.0","id":2,"result":{}}!"#]);
    assert_eq!(read(&mut first), [LOG]);
    assert!(read(&mut own).is_empty(), "who pings hears nothing but its answer");
    assert_eq!(read(&mut board.listen().expect("nobody listens yet")), [CHANGED]);
}

#[test]
fn progress_of_a_call_that_is_over_is_for_the_listener() {
    let mut board = Board::new();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}"#;
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"\u0074"}}"#;
    let mut outlet = mk_call(&mut board, call);
    let mut other = mk_call(&mut board, r#"{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#);
    hear(&mut board, progress);
    hear(&mut board, r#"{"jsonrpc":"2.0","id":1,"result":{"task":{}}}"#);
    hear(&mut board, progress);
    assert_eq!(read(&mut outlet).first().map(String::as_str), Some(progress));
    assert!(read(&mut other).is_empty());
    assert_eq!(read(&mut board.listen().expect("nobody listens yet")), [progress]);
}

#[test]
fn a_late_response_is_not_taken_for_that_of_another_call() {
    let mut board = Board::new();
    drop(mk_call(&mut board, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#));
    let again = Message::read(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#).expect("a message");
    let flight = Flight::of(&again, pipe(1).0).expect("a request");
    assert!(board.begin(flight).is_err(), "its first response may still come");
    hear(&mut board, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    mk_call(&mut board, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
}

#[test]
fn calls_that_were_left_do_not_pile_up() {
    let mut board = Board::new();
    for id in 0..1_000 {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call"}}"#);
        drop(mk_call(&mut board, &body));
    }
    assert!(board.flights.len() <= LEFT + 2, "{}", board.flights.len());
}

#[test]
fn what_nobody_listens_to_is_kept_within_bounds_the_latest_first() {
    let mut board = Board::new();
    for number in 0..1_000 {
        hear(&mut board, &format!(r#"{{"jsonrpc":"2.0","method":"n/{number}"}}"#));
    }
    let kept = read(&mut board.listen().expect("nobody listens yet"));
    assert!((10..=16).contains(&kept.len()), "{}", kept.len());
    assert!(kept.last().is_some_and(|last| last.contains("n/999")), "{kept:?}");
}

#[test]
fn a_listener_that_does_not_read_is_cut_off() {
    let mut board = Board::new();
    let mut slow = board.listen().expect("nobody listens yet");
    for _ in 0..1_000 {
        hear(&mut board, CHANGED);
    }
    assert!(read(&mut slow).len() <= 256);
    assert!(
        board.news.is_closed() || board.unheard.is_some(),
        "its stream has ended"
    );
    assert!(board.listen().is_some(), "the next one may come");
}

#[test]
fn a_call_whose_reader_does_not_read_fails() {
    let mut board = Board::new();
    let mut slow = mk_call(&mut board, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    for _ in 0..1_000 {
        hear(&mut board, LOG);
    }
    let read = read(&mut slow);
    assert!(read.last().is_some_and(|last| last.ends_with('!')), "{read:?}");
    assert!(read.len() <= 257);
}

proptest! {
    #[test]
    fn any_bytes_are_taken(messages: Vec<Vec<u8>>) {
        let mut board = Board::new();
        let _call = mk_call(&mut board, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
        for message in messages {
            prop_assert_eq!(board.hear(&Bytes::from(message)), None);
        }
    }

    #[test]
    fn any_message_is_taken(
        messages in proptest::collection::vec(
            r#"\{("id":(1|"1"|null|\[\])(,|))?("method":"(ping|notifications/progress|roots/list|x)"(,|))?("params":\{("progressToken":1)?\}(,|))?("result":1)?\}"#,
            0..20,
        ),
    ) {
        let mut board = Board::new();
        let mut call = mk_call(&mut board, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
        for message in messages {
            hear(&mut board, &message);
        }
        let read = read(&mut call);
        let last = read.iter().position(|piece| piece.ends_with('!'));
        prop_assert!(last.is_none_or(|at| at + 1 == read.len()), "nothing follows a response: {read:?}");
    }
}
