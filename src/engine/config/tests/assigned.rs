//! The settings of a processor whose endpoints are assigned.

use super::*;

#[test]
fn settings_need_no_upstreams_and_keep_the_defaults() {
    let settings = parse_settings("limits: {streams: 7}", Path::new("/etc"), Path::new("/state")).expect("valid");
    assert_eq!(settings.limits.streams, 7);
    assert_eq!(settings.lists, mk_config(MINIMAL).lists);
    assert!(settings.upstreams.is_empty());
}

#[test]
fn settings_say_nothing_that_is_assigned() {
    let text = "path: /other\nhosts: [a.example]\nsession: {keys: [{env: KEY}]}";
    let text = format!("{text}{ONE}");
    let problems = parse_settings(&text, Path::new("/etc"), Path::new("/state")).expect_err("none of it is");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = ["path", "hosts", "upstreams", "session.keys"].map(|key| format!("{key}: comes from the registry"));
    assert_eq!(lines, expected);
}
