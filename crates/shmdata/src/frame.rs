//! A frame in the writer's segment, and its private copy.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::lockstep;
use crate::sysv::{PrivateCopy, Segment, Semaphores};

/// One frame in the writer's segment. The writer cannot write the next frame until this one is dropped.
///
/// [`Follower::next`](crate::Follower::next) and [`Follower::let_go`](crate::Follower::let_go) copy the bytes to private memory at the
/// same address, so that the writer can continue. The address and the bytes never change.
#[derive(Debug, Clone)]
pub struct Frame(pub(crate) Arc<Held>);

/// Keeps an attached segment between two frames.
pub(crate) type Spare = Arc<Mutex<Option<Segment>>>;

#[derive(Debug)]
pub(crate) struct Held {
    address: *const u8,
    len: usize,
    state: Mutex<State>,
}

// SAFETY: the bytes are only read, and `state` keeps them mapped for as long as the value lives.
unsafe impl Send for Held {}
// SAFETY: the bytes are only read, and `state` is protected by a mutex.
unsafe impl Sync for Held {}

#[derive(Debug)]
enum State {
    /// The read lock is held.
    Locked { segment: Segment, semaphores: Arc<Semaphores>, spare: Spare },
    /// The bytes are a private copy at the same address. The copy is kept only because its `Drop` unmaps it.
    Private { _copy: PrivateCopy },
    /// Temporary value during the change from `Locked` to `Private`.
    Changing,
}

impl Frame {
    /// Creates a frame from the first `len` bytes of a segment. It takes over the caller's read lock.
    pub(crate) fn new(segment: Segment, len: usize, semaphores: Arc<Semaphores>, spare: Spare) -> Self {
        let address = segment.bytes().as_ptr();
        Self(Arc::new(Held { address, len, state: Mutex::new(State::Locked { segment, semaphores, spare }) }))
    }

    /// Returns the bytes of the frame, borrowed.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the segment or its private copy is mapped at this address for as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.0.address, self.0.len) }
    }

    /// Whether the bytes are a private copy.
    pub fn is_copied(&self) -> bool {
        matches!(*self.0.lock(), State::Private { .. })
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Copies the bytes to private memory and releases the read lock. If there is not enough memory for the copy, the lock is kept.
    pub(crate) fn copy_out(&self) {
        let mut state = self.lock();
        *state = match std::mem::replace(&mut *state, State::Changing) {
            State::Locked { segment, semaphores, spare } => match segment.copy_out_in_place(self.len) {
                Ok(copy) => {
                    finish(&semaphores);
                    State::Private { _copy: copy }
                }
                Err((segment, _)) => State::Locked { segment, semaphores, spare },
            },
            other => other,
        };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let State::Locked { segment, semaphores, spare } = std::mem::replace(&mut *self.lock(), State::Changing) {
            finish(&semaphores);
            *spare.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(segment);
        }
    }
}

/// Releases the read lock.
pub(crate) fn finish(semaphores: &Semaphores) {
    let _ = semaphores.operate(&lockstep::FINISH);
}
