//! Surviving `fork()`.
//!
//! A forked child shares its parent's ports: destroyed there, they would remove the parent's node, services and memory under its
//! feet. So in a child nothing that was made before the fork is destroyed, and using it is an error in words.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

static GENERATION: AtomicUsize = AtomicUsize::new(0);

/// Number of forks between the first process and this one, as far as they happened after the first call.
fn generation() -> usize {
    static WATCH: Once = Once::new();
    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    WATCH.call_once(|| {
        // SAFETY: the handler only touches an atomic, which is allowed in a child of a process with threads.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    GENERATION.load(Ordering::Relaxed)
}

/// A value that is destroyed only in the process that made it.
#[derive(Debug)]
pub(crate) struct OfThisProcess<T> {
    value: ManuallyDrop<T>,
    generation: usize,
}

impl<T> OfThisProcess<T> {
    pub fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), generation: generation() }
    }

    /// Whether this is the process that made the value.
    pub fn is_usable(&self) -> bool {
        self.generation == GENERATION.load(Ordering::Relaxed)
    }

    /// Refuses, in words, in a forked child.
    pub fn check(&self, service: &str) -> Result<()> {
        if self.is_usable() { Ok(()) } else { Err(Error::Forked { service: service.to_owned() }) }
    }

    /// The value itself; leaves nothing to destroy.
    pub fn into_inner(mut self) -> T {
        // SAFETY: `self` is forgotten right after, so the value is neither used nor dropped again.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        std::mem::forget(self);
        value
    }
}

impl<T> Drop for OfThisProcess<T> {
    fn drop(&mut self) {
        if self.is_usable() {
            // SAFETY: dropped once, here; `into_inner` forgets `self`.
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
