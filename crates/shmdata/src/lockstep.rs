//! The semaphore operations of the protocol.
//!
//! A path has two semaphores: [`READERS`] counts the readers that have not finished with the frame, and [`WRITER`] is 1 while a writer
//! writes. A writer counts as a reader while it writes. The kernel reverts steps with `UNDO` if the process dies.

use libc::sembuf;

use crate::dialect::{READERS, WRITER};

const UNDO: libc::c_int = libc::SEM_UNDO;
const AT_ONCE: libc::c_int = libc::IPC_NOWAIT;

/// A writer begins: all readers have finished.
pub(crate) const ENTER: [sembuf; 3] = [step(READERS, 0, 0), step(WRITER, 1, UNDO), step(READERS, 1, UNDO)];
/// A writer ends.
pub(crate) const LEAVE: [sembuf; 2] = [step(READERS, -1, UNDO | AT_ONCE), step(WRITER, -1, UNDO | AT_ONCE)];
/// Every reader has finished.
pub(crate) const ALL_READ: [sembuf; 1] = [step(READERS, 0, 0)];
/// A reader promises to finish with the announced frame. The counter stays as it is, but if the reader dies, the kernel subtracts 1.
pub(crate) const PROMISE: [sembuf; 2] = [step(READERS, 1, UNDO), step(READERS, -1, AT_ONCE)];
/// [`PROMISE`] and [`LOCK`] in one operation; possible if the writer has left already.
pub(crate) const PROMISE_AND_LOCK: [sembuf; 3] = [PROMISE[0], PROMISE[1], step(WRITER, 0, AT_ONCE)];
/// A reader begins: the writer has left.
pub(crate) const LOCK: [sembuf; 1] = [step(WRITER, 0, 0)];
/// A reader finishes, which fulfils its promise.
pub(crate) const FINISH: [sembuf; 1] = [step(READERS, -1, UNDO | AT_ONCE)];

/// A writer adds the readers to which it announced a frame.
pub(crate) fn count(readers: usize) -> [sembuf; 1] {
    [step(READERS, readers as i16, 0)]
}

/// A writer finishes in place of dead readers.
pub(crate) fn discount(readers: i32) -> [sembuf; 1] {
    [step(READERS, -(readers.min(i16::MAX.into()) as i16), AT_ONCE)]
}

/// Adds `change` to a semaphore; 0 waits until the semaphore is 0.
const fn step(index: u16, change: i16, flags: libc::c_int) -> sembuf {
    sembuf { sem_num: index, sem_op: change, sem_flg: flags as i16 }
}
