//! What a running process does when CONFIG SET changes a directive: moves its listeners, asks for more files, goes to another folder.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::hall::{Lent, lent};
use super::listeners::Listeners;
use super::tls_rules::is_about_tls;
use crate::config::{Changed, Config, OomScoreAdjust, SetError};
use crate::db::Keyspace;
use crate::db::snapshot::Sink;
use crate::persist::disk::Disk;
use crate::persist::snapshot::Outcome;
use crate::process::limits::{OomScore, TooFewFiles, make_room_for_clients};
use crate::process::saver::Saver;
use crate::process::title::Title;
use crate::process::{Process, log};
use crate::server::Server;
use crate::server::host::{Facts, Host};
use crate::server::lines::Line;
use crate::util::io_error;

pub struct NetHost {
    process: Process,
    listeners: Arc<Mutex<Listeners>>,
    hall: Lent,
    oom_score: OomScore,
    title: Option<Title>,
    saver: Saver,
    /// What was acted on last.
    config: Config,
    /// Where the process works.
    folder: PathBuf,
}

impl NetHost {
    pub fn new(
        listeners: &Arc<Mutex<Listeners>>,
        hall: &Lent,
        title: Option<Title>,
        saver: Saver,
        config: &Config,
    ) -> Self {
        let mut host = Self {
            process: Process,
            listeners: Arc::clone(listeners),
            hall: Arc::clone(hall),
            oom_score: OomScore::read(),
            title,
            saver,
            config: config.clone(),
            folder: std::env::current_dir().unwrap_or_default(),
        };
        // The log says what went wrong; a server whose score stays as it was still serves.
        let _ = host.oom_score.adjust(config, false);
        host.show_title();
        host.take_role(config);
        host
    }

    fn show_title(&mut self) {
        let port = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).port();
        if let Some(title) = &mut self.title {
            title.set(&self.config, port);
        }
    }

    fn adjust_oom_score(&mut self, old: &Config, new: &Config) -> Result<(), SetError> {
        if old.oom_score_adj == new.oom_score_adj && old.oom_score_adj_values == new.oom_score_adj_values {
            return Ok(());
        }
        self.oom_score.adjust(new, old.oom_score_adj != OomScoreAdjust::No).map_err(|_| {
            let name = if old.oom_score_adj == new.oom_score_adj { "oom-score-adj-values" } else { "oom-score-adj" };
            SetError::refused(name.as_bytes(), "Failed to set current oom_score_adj. Check server logs.")
        })
    }

    /// Reads certificates and keys again where one of their directives was named.
    fn change_tls(&self, new: &Config, changed: &[Changed]) -> Result<(), SetError> {
        let Some(named) = changed.iter().find(|changed| is_about_tls(changed.name)) else {
            return Ok(());
        };
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.change_tls_rules(new).map_err(|text| {
            tracing::warn!("Failed to configure TLS: {text}");
            SetError::refused(named.name.as_bytes(), "Unable to update TLS configuration. Check server logs.")
        })
    }

    fn move_listeners(&self, new: &Config) -> Result<(), SetError> {
        let old = &self.config;
        if old.port == new.port && old.tls_port == new.tls_port && old.bind == new.bind {
            return Ok(());
        }
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).move_to(&self.config, new)
    }
}

impl Host for NetHost {
    fn facts(&self) -> Facts {
        self.process.facts()
    }

    fn tcp_port(&self) -> Option<u16> {
        Some(self.listeners.lock().unwrap_or_else(PoisonError::into_inner).port())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.process.read(path)
    }

    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        self.process.replace(path, text)
    }

    fn disk(&self) -> Option<Arc<dyn Disk>> {
        // A folder that was removed under the process may be there again, as another one of that name.
        if std::env::current_dir().is_err() {
            let _ = std::env::set_current_dir(&self.folder);
        }
        self.process.disk()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        self.process.fill_random(bytes)
    }

    fn sleep(&self, time_us: u64) {
        self.process.sleep(time_us);
    }

    fn dial(&self, host: &str, port: u16, limit_ms: u64) -> io::Result<Box<dyn Line>> {
        self.process.dial(host, port, limit_ms)
    }

    fn take_role(&mut self, config: &Config) {
        let active = self.config.oom_score_adj != OomScoreAdjust::No;
        self.config.replicaof = config.replicaof.clone();
        log::set_role(if config.replicaof.0.is_some() { b'S' } else { b'M' });
        // The log says what went wrong; a server whose score stays as it was still serves.
        let _ = self.oom_score.adjust(&self.config, active);
    }

    fn attend(&mut self, server: &mut Server) {
        let Some(mut hall) = lent(&self.hall).take() else { return };
        let keepalive_s = u64::try_from(server.config.tcp_keepalive).unwrap_or(0);
        for _ in 0..server.config.max_new_connections_per_cycle {
            let accepted = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).accept_at_once(keepalive_s);
            // What goes wrong here will go wrong once more in the loop, which says so.
            let Ok(Some(accepted)) = accepted else { break };
            // Those who come by TLS wait for the loop: a handshake has nothing to be told yet.
            let number = hall.welcome(server, accepted, None);
            hall.write_later(server, number);
            // The loop has to get to know it, or it would never hear of what comes later.
            hall.ring(number);
        }
        hall.attend(server);
        *lent(&self.hall) = Some(hall);
    }

    fn begin_save(
        &mut self,
        config: &Config,
        keyspace: &Keyspace,
        functions: Vec<Vec<u8>>,
        now_ms: u64,
        target: Option<PathBuf>,
    ) -> Result<(Box<dyn Sink>, PathBuf), String> {
        self.saver.begin(config, keyspace, functions, now_ms, target)
    }

    fn save_outcome(&mut self) -> Option<Outcome> {
        self.saver.outcome()
    }

    fn save_waiting_bytes(&self) -> usize {
        self.saver.waiting_bytes()
    }

    fn give_up_save(&mut self) {
        self.saver.give_up();
    }

    fn reconfigure(&mut self, new: &mut Config, changed: &[Changed]) -> Result<(), SetError> {
        let old = &self.config.clone();
        if new.maxclients > old.maxclients {
            ask_for_files(new.maxclients)?;
        }
        self.adjust_oom_score(old, new)?;
        let moved = change_folder(old, new)
            .and_then(|()| self.change_tls(new, changed))
            .and_then(|()| self.move_listeners(new));
        if let Err(error) = moved {
            // What was so before can be so again; if not, the log has said it.
            let _ = self.adjust_oom_score(new, old);
            let _ = std::env::set_current_dir(old.dir.path());
            let _ = self.change_tls(old, changed);
            return Err(error);
        }
        log::set_level(new.loglevel);
        self.folder = std::env::current_dir().unwrap_or_else(|_| std::mem::take(&mut self.folder));
        self.config = new.clone();
        self.show_title();
        Ok(())
    }
}

fn ask_for_files(maxclients: u32) -> Result<(), SetError> {
    let refused = |text: String| SetError::refused(b"maxclients", &text);
    match make_room_for_clients(maxclients) {
        Ok(room) if room >= maxclients => Ok(()),
        Ok(room) => Err(refused(format!(
            "The operating system is not able to handle the specified number of clients, try with {room}"
        ))),
        Err(TooFewFiles(text)) => Err(refused(text)),
    }
}

/// Goes to another folder, and notes its absolute path: a relative one would mean something else from then on.
fn change_folder(old: &Config, new: &mut Config) -> Result<(), SetError> {
    if old.dir == new.dir {
        return Ok(());
    }
    let go = |path: &Path| {
        std::env::set_current_dir(path)?;
        std::env::current_dir()
    };
    let folder = go(new.dir.path()).map_err(|error| SetError::refused(b"dir", &io_error::reason(&error)))?;
    new.dir = folder.into_os_string().into_vec().into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::wake::{Bell, ReadyList};
    use super::*;
    use crate::persist::disk::RealDisk;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    /// A host that listens on a port of the system's choice, and its configuration.
    fn host() -> (NetHost, Config, u16) {
        let mut config = Config::default();
        set(&mut config, &[("bind", "127.0.0.1"), ("port", "0")]);
        config.port_file = "unused".into();
        let listeners = Listeners::open(&config, Bell::new(0, &Arc::<ReadyList>::default())).expect("a free port");
        let port = listeners.port();
        let saver = Saver::new(Arc::new(RealDisk), Arc::new(|| ()));
        (NetHost::new(&Arc::new(Mutex::new(listeners)), &Lent::default(), None, saver, &config), config, port)
    }

    fn set(config: &mut Config, pairs: &[(&str, &str)]) {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        config.set(&pairs, true).expect("directives of the test");
    }

    /// What CONFIG SET would answer.
    fn change(host: &mut NetHost, config: &Config, pairs: &[(&str, &str)]) -> Result<(), String> {
        let mut new = config.clone();
        set(&mut new, pairs);
        host.reconfigure(&mut new, &[]).map_err(|error| error.to_string())
    }

    fn is_open(host: Ipv4Addr, port: u16) -> bool {
        TcpStream::connect((host, port)).is_ok()
    }

    /// Sockets are watched by a runtime, though nothing here waits.
    fn in_runtime(test: impl FnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { test() });
    }

    #[test]
    fn listeners_go_where_they_are_told_and_back_where_they_cannot() {
        in_runtime(|| {
            let (mut host, config, port) = host();
            let other = Ipv4Addr::new(127, 0, 0, 2);
            assert!(is_open(Ipv4Addr::LOCALHOST, port) && !is_open(other, port));

            change(&mut host, &config, &[("bind", "127.0.0.2")]).expect("an address of this machine");
            assert!(!is_open(Ipv4Addr::LOCALHOST, port) && is_open(other, port), "the port stays");

            let taken = TcpListener::bind((other, 0)).expect("a free port");
            let number = taken.local_addr().expect("an address").port().to_string();
            let refusal = change(&mut host, &config, &[("bind", "127.0.0.2"), ("port", &number)]);
            let text = "CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.";
            assert_eq!(refusal, Err(text.into()));
            assert!(is_open(other, port));

            let refusal = change(&mut host, &config, &[("bind", "127.0.0.1 192.0.2.77")]);
            let text =
                "CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.";
            assert_eq!(refusal, Err(text.into()));
            assert!(is_open(other, port) && !is_open(Ipv4Addr::LOCALHOST, port));
        });
    }

    #[test]
    fn more_clients_than_the_kernel_grants_are_refused() {
        in_runtime(|| {
            let (mut host, config, _) = host();
            let refusal = change(&mut host, &config, &[("maxclients", "4294967295")]);
            let text = "CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to handle the \
                    specified number of clients, try with ";
            assert!(refusal.as_ref().is_err_and(|refusal| refusal.starts_with(text)), "{refusal:?}");
        });
    }
}
