//! A limit on the memory of an evaluation.
//!
//! The interpreter looks at the time while it works, and at nothing else; and an allocator may neither fail (that ends
//! the process) nor unwind. So an allocation that takes an evaluation beyond its limit succeeds, and holds its thread
//! until the time of the evaluation is up: the interpreter then ends it the next time it looks.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

/// Most that an evaluation may hold at once, beside its input and the policy.
pub const LIMIT_BYTES: i64 = 64 << 20;

struct Metered;

#[global_allocator]
static ALLOCATOR: Metered = Metered;

thread_local! {
    /// When the evaluation that runs on this thread has to be over.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// What it holds: allocated less freed by this thread since it began.
    static HELD: Cell<i64> = const { Cell::new(0) };
    static EXCEEDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs an evaluation; true: it went beyond the limit, whatever it says.
pub fn metered<T>(deadline: Instant, evaluation: impl FnOnce() -> T) -> (T, bool) {
    HELD.set(0);
    EXCEEDED.set(false);
    DEADLINE.set(Some(deadline));
    let end = OnEnd;
    let result = evaluation();
    drop(end);
    (result, EXCEEDED.get())
}

struct OnEnd;

impl Drop for OnEnd {
    fn drop(&mut self) {
        DEADLINE.set(None);
    }
}

fn note(change: i64) {
    let Some(deadline) = DEADLINE.get() else { return };
    let held = HELD.get() + change;
    HELD.set(held);
    if change > 0 && held > LIMIT_BYTES && !EXCEEDED.replace(true) {
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }
}

unsafe impl GlobalAlloc for Metered {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as i64);
        System.alloc(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as i64);
        System.alloc_zeroed(layout)
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as i64 - layout.size() as i64);
        System.realloc(old, layout, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(-(layout.size() as i64));
        System.dealloc(memory, layout)
    }
}
