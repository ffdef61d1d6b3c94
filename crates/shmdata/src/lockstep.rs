//! The semaphore operations of the protocol.
//!
//! A path has two semaphores: [`READERS`] counts the readers that have not released the frame, and [`WRITER`] is 1 while a writer is
//! writing. A writer counts as a reader while it is writing. If a process dies, the kernel reverts its steps that have the flag `UNDO`.

use libc::sembuf;

use crate::dialect::{READERS, WRITER};

const UNDO: libc::c_int = libc::SEM_UNDO;
const AT_ONCE: libc::c_int = libc::IPC_NOWAIT;

/// A writer begins to write, once all readers have released the frame.
pub(crate) const ENTER: [sembuf; 3] = [step(READERS, 0, 0), step(WRITER, 1, UNDO), step(READERS, 1, UNDO)];
/// A writer has finished writing.
pub(crate) const LEAVE: [sembuf; 2] = [step(READERS, -1, UNDO | AT_ONCE), step(WRITER, -1, UNDO | AT_ONCE)];
/// Waits until every reader has released the frame.
pub(crate) const ALL_READ: [sembuf; 1] = [step(READERS, 0, 0)];
/// A reader promises to release the announced frame. The counter does not change, but if the reader dies, the kernel subtracts 1.
pub(crate) const PROMISE: [sembuf; 2] = [step(READERS, 1, UNDO), step(READERS, -1, AT_ONCE)];
/// [`PROMISE`] and [`LOCK`] in one operation. It succeeds only if the writer has already left the segment.
pub(crate) const PROMISE_AND_LOCK: [sembuf; 3] = [PROMISE[0], PROMISE[1], step(WRITER, 0, AT_ONCE)];
/// A reader begins to read, once the writer has left the segment.
pub(crate) const LOCK: [sembuf; 1] = [step(WRITER, 0, 0)];
/// A reader releases the frame, as it promised.
pub(crate) const FINISH: [sembuf; 1] = [step(READERS, -1, UNDO | AT_ONCE)];

/// A writer adds the number of readers to which it announced a frame.
pub(crate) fn count(readers: usize) -> [sembuf; 1] {
    [step(READERS, readers as i16, 0)]
}

/// A writer releases the frame on behalf of dead readers.
pub(crate) fn discount(readers: i32) -> [sembuf; 1] {
    [step(READERS, -(readers.min(i16::MAX.into()) as i16), AT_ONCE)]
}

/// Adds `change` to a semaphore. If `change` is 0, the step waits until the semaphore is 0.
const fn step(index: u16, change: i16, flags: libc::c_int) -> sembuf {
    sembuf { sem_num: index, sem_op: change, sem_flg: flags as i16 }
}
