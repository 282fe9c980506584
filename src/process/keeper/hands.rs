//! Who does what the loop must not wait for: a thread, or in a simulation the test.

use std::io;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, unbounded};

use crate::persist::aof::flusher::{self, Order, Report};
use crate::persist::disk::Disk;

pub trait Hands: Send {
    fn send(&mut self, order: Order);

    /// What was done since the last call, one at a time.
    fn report(&mut self) -> Option<Report>;

    /// Waits until all that was ordered is done.
    fn finish(&mut self) -> Vec<Report>;
}

/// The thread that has the log's slow calls.
pub struct Thread {
    orders: Sender<Order>,
    reports: Receiver<Report>,
}

impl Thread {
    /// `prepare` runs on the thread first; `ring` is called there when there is something to report.
    pub fn start(
        disk: Arc<dyn Disk>,
        prepare: impl FnOnce() + Send + 'static,
        ring: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let (orders, inbox) = unbounded();
        let (outbox, reports) = unbounded();
        std::thread::Builder::new().name("aof".into()).spawn(move || {
            prepare();
            flusher::run(&*disk, &inbox, &outbox, &*ring);
        })?;
        Ok(Self { orders, reports })
    }
}

impl Hands for Thread {
    fn send(&mut self, order: Order) {
        self.orders.send(order).expect("the thread lives as long as it can be sent orders");
    }

    fn report(&mut self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    fn finish(&mut self) -> Vec<Report> {
        self.send(Order::Mark);
        self.reports.iter().take_while(|report| !matches!(report, Report::Marked)).collect()
    }
}
