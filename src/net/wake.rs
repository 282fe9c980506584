//! From readiness to work: a waker for each socket, which puts the socket's number on a list.
//!
//! One task owns all sockets. What becomes ready while the task sleeps is found on the list when it wakes, so a turn touches exactly the
//! sockets that have something, in the order in which they became ready.

use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The sockets that have become ready, and the task that wants to know.
#[derive(Default)]
pub struct ReadyList {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: Vec<Arc<Bell>>,
    task: Option<Waker>,
}

/// One socket's waker.
pub struct Bell {
    pub socket: usize,
    rung: AtomicBool,
    list: Arc<ReadyList>,
}

impl ReadyList {
    /// Remembers the task, if it is another one than before.
    pub fn set_task(&self, waker: &Waker) {
        let mut state = self.lock();
        if !state.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            state.task = Some(waker.clone());
        }
    }

    /// Swaps the list of what is ready against an empty one. What rings from now on is on the new list.
    pub fn take(&self, ready: &mut Vec<Arc<Bell>>) {
        ready.clear();
        std::mem::swap(&mut self.lock().ready, ready);
        for bell in ready.iter() {
            bell.rung.store(false, std::sync::atomic::Ordering::Release);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    pub fn new(socket: usize, list: &Arc<ReadyList>) -> Arc<Self> {
        Arc::new(Self { socket, rung: AtomicBool::new(false), list: Arc::clone(list) })
    }

    /// Puts the socket on the list of the next turn.
    pub fn ring(self: &Arc<Self>) {
        self.wake_by_ref();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, AcqRel) {
            return;
        }
        let mut state = self.list.lock();
        state.ready.push(Arc::clone(self));
        if let Some(task) = &state.task {
            task.wake_by_ref();
        }
    }
}
