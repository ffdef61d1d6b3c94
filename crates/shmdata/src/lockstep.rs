//! The semaphore operations of the protocol.
//!
//! A path has two semaphores: [`READERS`] counts the readers that have not finished with the frame, and [`WRITER`] is 1 while a writer
//! writes. A writer counts as a reader while it writes. Operations marked `undone` are reverted by the kernel if the process dies.

use crate::dialect::{READERS, WRITER};
use crate::sysv::Step;

/// A writer begins: all readers have finished.
pub(crate) const ENTER: [Step; 3] =
    [Step::new(READERS, 0), Step::new(WRITER, 1).undone(), Step::new(READERS, 1).undone()];
/// A writer ends.
pub(crate) const LEAVE: [Step; 2] =
    [Step::new(READERS, -1).undone().at_once(), Step::new(WRITER, -1).undone().at_once()];
/// Every reader has finished.
pub(crate) const ALL_READ: [Step; 1] = [Step::new(READERS, 0)];
/// A reader promises to finish with the announced frame. The counter stays as it is, but if the reader dies, the kernel subtracts 1.
pub(crate) const PROMISE: [Step; 2] = [Step::new(READERS, 1).undone(), Step::new(READERS, -1).at_once()];
/// [`PROMISE`] and [`LOCK`] in one operation; possible if the writer has left already.
pub(crate) const PROMISE_AND_LOCK: [Step; 3] = [PROMISE[0], PROMISE[1], Step::new(WRITER, 0).at_once()];
/// A reader begins: the writer has left.
pub(crate) const LOCK: [Step; 1] = [Step::new(WRITER, 0)];
/// A reader finishes, which fulfils its promise.
pub(crate) const FINISH: [Step; 1] = [Step::new(READERS, -1).undone().at_once()];

/// A writer adds the readers to which it announced a frame.
pub(crate) fn count(readers: usize) -> [Step; 1] {
    [Step::new(READERS, readers as i16)]
}

/// A writer finishes in place of dead readers.
pub(crate) fn discount(readers: i32) -> [Step; 1] {
    [Step::new(READERS, -(readers.min(i16::MAX.into()) as i16)).at_once()]
}
