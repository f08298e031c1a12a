//! Starts processes that the kernel kills when we are gone, however we go.
//!
//! PR_SET_PDEATHSIG follows the *thread* that started the child, not the process: so one thread starts them all, and
//! lives until the process ends.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Starts `command` in a process group of its own, so that Ctrl-C on the terminal reaches only us and we can drain.
pub(super) async fn spawn(mut command: Command) -> io::Result<Child> {
    die_with_parent(&mut command);
    command.process_group(0).kill_on_drop(true);
    let runtime = Handle::current();
    let (started, outcome) = oneshot::channel();
    let job: Job = Box::new(move || {
        let _runtime = runtime.enter();
        // Nobody waits any more: the child is dropped, and so killed.
        let _ = started.send(command.spawn());
    });
    let gone = || io::Error::other("the thread that starts processes is gone");
    spawner()?.send(job).map_err(|_| gone())?;
    outcome.await.map_err(|_| gone())?
}

fn spawner() -> io::Result<&'static Sender<Job>> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::Builder::new()
        .name("envoy-spawner".to_owned())
        .spawn(move || jobs.into_iter().for_each(|job| job()))?;
    // If another call was faster, our thread ends with the sender that is dropped here.
    Ok(SPAWNER.get_or_init(|| sender))
}

#[expect(unsafe_code, reason = "PR_SET_PDEATHSIG can only be set between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let before_exec = move || {
        // SAFETY: both calls are async-signal-safe and touch no memory.
        let (set, parent_now) = unsafe {
            (
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong),
                libc::getppid(),
            )
        };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
        // Died between fork and prctl: nobody would send the signal.
        if u32::try_from(parent_now) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock, as is required after fork in a process with threads.
    unsafe {
        command.pre_exec(before_exec);
    }
}
