use super::*;
use crate::engine::exchange::record::Way;
use std::sync::mpsc;
use tempfile::TempDir;

fn mk_record(bytes_in: usize) -> Record {
    Record {
        way: Way::Answer,
        bytes_in,
        ..Record::default()
    }
}

#[test]
fn lines_are_appended_to_the_file_in_order() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.jsonl");
    std::fs::write(&path, "before\n").unwrap();
    for round in 0..2 {
        let log = AuditLog::start(&AuditTarget::File(path.clone())).unwrap();
        for number in 0..500 {
            log.record(&mk_record(round * 500 + number), Duration::ZERO, SystemTime::now());
        }
        assert_eq!(log.lost(), 0);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("before"));
    for (number, line) in lines.enumerate() {
        assert!(line.contains(&format!("\"bytesIn\":{number},")), "{line}");
    }
    assert_eq!(text.lines().count(), 1001);
}

#[test]
fn a_file_that_is_moved_away_is_followed_by_a_new_one() {
    let dir = TempDir::new().unwrap();
    let (path, moved) = (dir.path().join("audit.jsonl"), dir.path().join("audit.jsonl.1"));
    let log = AuditLog::start(&AuditTarget::File(path.clone())).unwrap();
    let written = |file: &std::path::Path| std::fs::read_to_string(file).unwrap_or_default().lines().count();
    let until = |file: &std::path::Path, lines| {
        while written(file) < lines {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    log.record(&mk_record(1), Duration::ZERO, SystemTime::now());
    until(&path, 1);
    std::fs::rename(&path, &moved).unwrap();
    log.record(&mk_record(2), Duration::ZERO, SystemTime::now());
    until(&path, 1);
    std::fs::remove_file(&path).unwrap();
    log.record(&mk_record(3), Duration::ZERO, SystemTime::now());
    until(&path, 1);
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"bytesIn\":3,"));
    assert_eq!((written(&moved), log.lost()), (1, 0));
}

#[test]
fn a_line_is_written_without_another_one_pushing_it() {
    struct Sender(mpsc::Sender<Vec<u8>>);
    impl Write for Sender {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sender, written) = mpsc::channel();
    let log = AuditLog::start_writing(Sender(sender)).unwrap();
    log.record(&mk_record(7), Duration::ZERO, SystemTime::now());
    assert!(written.recv().unwrap().ends_with(b"}\n"));
    drop(log);
}

#[test]
fn a_stalled_disk_loses_lines_and_counts_them() {
    struct Stalled(mpsc::Receiver<()>);
    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Returns once the test drops the other end.
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (release, stalled) = mpsc::channel();
    let log = AuditLog::start_writing(Stalled(stalled)).unwrap();
    while log.lost() < 10 {
        log.record(&mk_record(7), Duration::ZERO, SystemTime::now());
    }
    drop(release);
    drop(log);
}

#[test]
fn lines_that_cannot_be_written_are_counted_as_lost() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = AuditLog::start_writing(Broken).unwrap();
    let AuditLog(Some(running)) = &log else {
        panic!("it runs")
    };
    let shared = Arc::clone(&running.shared);
    log.record(&mk_record(7), Duration::ZERO, SystemTime::now());
    log.record(&mk_record(8), Duration::ZERO, SystemTime::now());
    drop(log);
    assert_eq!(shared.lost.load(Relaxed), 2);
}

/// A disk that is full until somebody makes room; what fits of a line is written all the same.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (room, written) = &mut *self.0.lock().unwrap();
        let fitting = bytes.len().min(*room);
        if fitting == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= fitting;
        written.extend_from_slice(&bytes[..fitting]);
        Ok(fitting)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn once_there_is_room_again_the_file_says_what_is_missing_and_every_other_line_is_whole() {
    let disk = Disk::default();
    disk.0.lock().unwrap().0 = 20;
    let log = AuditLog::start_writing(disk.clone()).unwrap();
    for number in [1, 2] {
        log.record(&mk_record(number), Duration::ZERO, SystemTime::now());
        while log.lost() < number as u64 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    disk.0.lock().unwrap().0 = 10_000;
    log.record(&mk_record(3), Duration::ZERO, SystemTime::now());
    drop(log);
    let text = String::from_utf8(disk.0.lock().unwrap().1.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [torn, lost, whole] = lines.try_into().unwrap_or_else(|lines| panic!("{lines:?}"));
    assert_eq!((torn.len(), lost), (20, "{\"lost\":2}"));
    assert!(whole.contains("\"bytesIn\":3,") && whole.ends_with('}'), "{whole}");
}

#[test]
fn off_is_off() {
    let log = AuditLog::start(&AuditTarget::Off).unwrap();
    log.record(&mk_record(7), Duration::ZERO, SystemTime::now());
    assert_eq!(log.lost(), 0);
}
