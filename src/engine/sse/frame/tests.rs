//! Frames: bytes kept, events read as the decoder reads them, comments at once, bounded.

use super::super::Decoder;
use super::*;
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

/// The frames of `wire` cut into chunks, and the rest.
fn mk_frames(wire: &[u8], chunk: usize) -> (Vec<Framed>, Bytes) {
    let mut framer = Framer::default();
    let mut frames = Vec::new();
    for chunk in wire.chunks(chunk) {
        frames.extend(framer.feed(&Bytes::copy_from_slice(chunk), LIMIT).expect("small"));
    }
    (frames, framer.take_rest())
}

#[test]
fn a_frame_within_a_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"id: 1\ndata: {}\n\ndata: [\ndata: ]\n\n");
    let frames = Framer::default().feed(&chunk, LIMIT).expect("small");
    let [one, two] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    assert_eq!(one.raw, "id: 1\ndata: {}\n\n");
    assert_eq!(one.raw.as_ptr(), chunk.as_ptr());
    let data = &one.event.as_ref().expect("an event").data;
    assert_eq!(data.as_ptr(), chunk.slice(12..).as_ptr(), "the data is a slice too");
    assert_eq!(two.event.as_ref().expect("an event").data, "[\n]");
}

#[test]
fn a_comment_does_not_wait_for_an_event() {
    let mut framer = Framer::default();
    let mut feed = |text: &'static str| {
        let frames = framer.feed(&Bytes::from_static(text.as_bytes()), LIMIT).expect("small");
        frames.into_iter().map(|frame| frame.raw).collect::<Vec<_>>()
    };
    assert_eq!(feed(": keep-alive\n"), [": keep-alive\n"]);
    assert_eq!(feed("\n"), ["\n"]);
    assert_eq!(feed(": a\r"), [": a\r"]);
    assert_eq!(feed("\n: half"), ["\n"]);
    assert_eq!(
        feed(" of it\ndata: 1\n"),
        Vec::<Bytes>::new(),
        "an event has begun behind it"
    );
    assert_eq!(feed("\n"), [": half of it\ndata: 1\n\n"]);
}

#[test]
fn other_data_changes_nothing_else() {
    let wire = "\u{feff}data:[\r: c\r\nid: 7\nx: y\ndata:  1]\r\n\r\n";
    let (frames, _) = mk_frames(wire.as_bytes(), 1000);
    let changed = frames[0].with_data(b"[\n \"mm\"]");
    assert_eq!(changed, wire.replace(" 1]", " \"mm\"]"));
}

#[test]
fn data_with_more_lines_is_still_one_event() {
    let (frames, _) = mk_frames(b"id: 7\ndata: 1\n\n", 1000);
    assert_eq!(frames[0].with_data(b"1\n2"), "id: 7\ndata: 1\ndata: 2\n\n");
}

#[test]
fn an_id_gets_a_prefix_and_nothing_else_changes() {
    let named =
        |raw: &str| with_id_prefix(raw.as_bytes(), b"me:").map(|raw| String::from_utf8(raw.to_vec()).expect("text"));
    assert_eq!(
        named("event: e\r\nid: 0/1\r\ndata: id: 2\r\n\r\n").as_deref(),
        Some("event: e\r\nid: me:0/1\r\ndata: id: 2\r\n\r\n")
    );
    assert_eq!(named("id:7\n: c").as_deref(), Some("id:me:7\n: c"));
    assert_eq!(named("id:\nid\ndata: id: 7\n\n"), None);
    assert_eq!(named(""), None);
}

#[test]
fn a_frame_without_end_is_bounded() {
    let chunk = Bytes::from_static(b"data: 0123456789");
    assert_eq!(Framer::default().feed(&chunk, 15), Err(EventTooLarge(15)));
    let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata: 3");
    assert!(Framer::default().feed(&chunk, 9).is_ok(), "each frame begins anew");
}

#[test]
fn an_event_that_is_let_pass_is_not_kept() {
    let mut framer = Framer::default();
    let cut = |framer: &mut Framer, text: &'static str| {
        let (mut raws, mut events) = (Vec::new(), Vec::new());
        framer
            .cut(&Bytes::from_static(text.as_bytes()), 12, Overlong::Passes, |frame| {
                events.extend(frame.event());
                raws.push(frame.raw);
            })
            .expect("passes");
        (raws, events.len())
    };
    assert_eq!(cut(&mut framer, "data: 123"), (vec![], 0));
    assert_eq!(framer.let_pass(), "data: 123");
    assert_eq!(cut(&mut framer, "45"), (vec!["45".into()], 0));
    assert_eq!(cut(&mut framer, "6\n"), (vec!["6\n".into()], 0));
    assert_eq!(
        cut(&mut framer, "\ndata: 7\n\n"),
        (vec!["\n".into(), "data: 7\n\n".into()], 1)
    );
    let long = "data: 0123456789";
    assert_eq!(cut(&mut framer, long), (vec![long.into()], 0), "too long to be kept");
    assert_eq!(
        cut(&mut framer, "0\n\ndata: 8\n\n"),
        (vec!["0\n\n".into(), "data: 8\n\n".into()], 1)
    );
}

#[test]
fn the_first_data_of_an_open_event_is_seen() {
    assert_eq!(first_data(b"\xEF\xBB\xBFdata: {\"a"), Some(b"{\"a".as_slice()));
    assert_eq!(
        first_data(b"id: 1\nevent: message\ndata:[\ndata:2"),
        Some(b"[".as_slice())
    );
    assert_eq!(first_data(b"id: 1\n: data: 2\n"), None);
}

const WIRE: &str =
    "(\u{feff})?((data: [a-z]{0,3}|data|data:é|id: 1|: c|:|event: e|retry: 5|x|)(\r\n|\n|\r)){0,12}[a-z:]{0,3}";

proptest! {
    #[test]
    fn raws_and_rest_are_the_input_and_say_what_the_decoder_says(wire in WIRE, chunk in 1_usize..9) {
        let (frames, rest) = mk_frames(wire.as_bytes(), chunk);
        let raws: Vec<&[u8]> = frames.iter().map(|frame| frame.raw.as_ref()).chain([rest.as_ref()]).collect();
        prop_assert_eq!(raws.concat(), wire.as_bytes());
        let mut decoder = Decoder::default();
        let events = decoder.feed(wire.as_bytes(), LIMIT).expect("small");
        let framed: Vec<SseEvent> = frames.iter().filter_map(|frame| frame.event.clone()).collect();
        prop_assert_eq!(framed, events);
    }

    #[test]
    fn whatever_passes_unread_the_bytes_are_the_input(
        wire in WIRE,
        chunk in 1_usize..9,
        limit in 0_usize..24,
        pass in any::<u16>(),
    ) {
        let mut framer = Framer::default();
        let mut raws = Vec::new();
        for (at, chunk) in wire.as_bytes().chunks(chunk).enumerate() {
            let chunk = Bytes::copy_from_slice(chunk);
            framer.cut(&chunk, limit, Overlong::Passes, |frame| raws.extend_from_slice(&frame.raw)).unwrap();
            prop_assert!(framer.kept().len() <= limit);
            if pass >> (at % 16) & 1 == 1 {
                raws.extend_from_slice(&framer.let_pass());
            }
        }
        raws.extend_from_slice(&framer.take_rest());
        prop_assert_eq!(raws, wire.as_bytes());
    }

    #[test]
    fn the_same_data_gives_the_same_bytes(wire in WIRE, chunk in 1_usize..9) {
        for frame in mk_frames(wire.as_bytes(), chunk).0 {
            if let Some(event) = frame.event.as_ref().filter(|event| !event.data.is_empty()) {
                prop_assert_eq!(frame.with_data(&event.data), &frame.raw);
            }
        }
    }

    #[test]
    fn any_bytes_are_taken(wire: Vec<u8>, chunk in 1_usize..9) {
        let (frames, rest) = mk_frames(&wire, chunk);
        let raws: Vec<&[u8]> = frames.iter().map(|frame| frame.raw.as_ref()).chain([rest.as_ref()]).collect();
        prop_assert_eq!(raws.concat(), wire);
    }
}
