//! What is kept, and what is not believed.

use super::super::difference::tests::mk_assignment;
use super::*;
use std::os::unix::fs::PermissionsExt;

fn mk_held() -> Held {
    Held {
        position: proto::Position {
            epoch: "e".to_owned(),
            version: 7,
        },
        assignment: Arc::new(mk_assignment(&[("a", 1), ("b", 2)])),
    }
}

#[test]
fn what_was_kept_comes_back_with_its_position_to_its_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deep").join("assignment");
    assert!(load(&file, "team/edge").expect("no file yet").is_none());
    let held = mk_held();
    save(&file, "team/edge", &held).expect("written");
    save(&file, "team/edge", &held).expect("written over");

    let loaded = load(&file, "team/edge").expect("read").expect("kept");
    assert_eq!((loaded.position.version, &*loaded.position.epoch), (7, "e"));
    assert_eq!(loaded.assignment, held.assignment);
    let mode = fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds secrets");
    let others = fs::read_dir(file.parent().expect("a folder")).expect("read").count();
    assert_eq!(others, 1, "nothing is left beside it");
}

#[test]
fn a_file_of_another_gateway_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("assignment");
    save(&file, "team/edge", &mk_held()).expect("written");
    assert!(matches!(load(&file, "team/other"), Err(KeptError::Foreign(_))));
}

#[test]
fn a_damaged_file_is_not_used_wherever_it_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("assignment");
    save(&file, "team/edge", &mk_held()).expect("written");
    let good = fs::read(&file).expect("read");
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1;
        fs::write(&file, &bad).expect("written");
        assert!(
            matches!(load(&file, "team/edge"), Err(KeptError::Damaged(_))),
            "byte {position}"
        );
        fs::write(&file, &good[..position]).expect("written");
        assert!(
            matches!(load(&file, "team/edge"), Err(KeptError::Damaged(_))),
            "cut at {position}"
        );
    }
}
