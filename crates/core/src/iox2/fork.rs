//! Protects ports across `fork()`.
//!
//! A forked child has copies of its parent's ports. Dropping a copy would remove the parent's node, services and memory. So a child does
//! not drop values that were created before the fork, and returns an error if it uses them.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

static GENERATION: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of forks in this process's ancestry since the first call.
fn generation() -> usize {
    static WATCH: Once = Once::new();
    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    WATCH.call_once(|| {
        // SAFETY: the handler only changes an atomic, which is allowed in the child of a multi-threaded process.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    GENERATION.load(Ordering::Relaxed)
}

/// A value that is dropped only in the process that created it.
#[derive(Debug)]
pub(crate) struct OfThisProcess<T> {
    value: ManuallyDrop<T>,
    generation: usize,
}

impl<T> OfThisProcess<T> {
    pub fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), generation: generation() }
    }

    /// Whether this process created the value.
    pub fn is_usable(&self) -> bool {
        self.generation == GENERATION.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Forked`] in a forked child.
    pub fn check(&self, service: &str) -> Result<()> {
        if self.is_usable() { Ok(()) } else { Err(Error::Forked { service: service.to_owned() }) }
    }

    /// Returns the inner value.
    pub fn into_inner(mut self) -> T {
        // SAFETY: `self` is forgotten in the next line, so the value is neither used nor dropped again.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        std::mem::forget(self);
        value
    }
}

impl<T> Drop for OfThisProcess<T> {
    fn drop(&mut self) {
        if self.is_usable() {
            // SAFETY: the value is dropped only here, because `into_inner` forgets `self`.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

impl<T> Deref for OfThisProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for OfThisProcess<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
