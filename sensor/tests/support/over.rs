//! The end of what goes on beside a test.

use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the threads of a scope that it is over when dropped: also where a check fails, which would wait for them for ever.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
