//! What the process around the heart does when directives change: ports, limits, the log, the process title.
//!
//! The heart knows none of that. CONFIG SET works out the new configuration, hands both to the `Host`, and puts the new one in place
//! only if the host could follow.

use crate::config::{Config, SetError};

pub trait Host: Send {
    /// Acts on everything that differs. On an error nothing has changed: what was done already is undone.
    fn apply(&mut self, old: &Config, new: &Config) -> Result<(), SetError>;
}

/// No process around: tests and tools, where a changed directive is only a changed field.
pub struct NoHost;

impl Host for NoHost {
    fn apply(&mut self, _: &Config, _: &Config) -> Result<(), SetError> {
        Ok(())
    }
}
