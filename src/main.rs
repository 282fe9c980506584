//! The process: reads the command line and the configuration, sets the process up, runs the loop, ends it.
//!
//! The order matters in `serve`: what must happen while there is one thread comes before the log has anything to say, and the log
//! before whatever may fail. What each step is, is in `runnel::process`.

use std::process::ExitCode;

use runnel::command_line::{self, Mode};
use runnel::config::{Config, Loaded, Source};
use runnel::net;
use runnel::process::huge_pages::HugePages;
use runnel::process::supervisor::Supervisor;
use runnel::process::{self, affinity, check, check_aof, daemon, limits, log, signals, title::Title};
use runnel::server::{Clock, Server};
use runnel::util::clock::{monotonic_us, unix_us};
use runnel::util::io_error;

fn main() -> ExitCode {
    match command_line::parse(std::env::args_os()) {
        Ok(mode) => run(mode),
        Err(error) => fail(&error.0),
    }
}

fn run(mode: Mode) -> ExitCode {
    let found = match mode {
        Mode::Serve(source) => return serve(&source),
        Mode::Version => Ok(format!("{}\n", command_line::version_line())),
        Mode::Help => Ok(command_line::help()),
        Mode::CheckConfig(file) => match check::configuration(&file) {
            Err(error) => return fail(&error),
            found => found,
        },
        Mode::CheckSystem => check::system(),
        Mode::CheckRdb(file) => check::snapshot(&file),
        Mode::CheckAof(aof) => check_aof::log(&aof),
    };
    let (text, code) = match found {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    // A reader that has seen enough (`--help | head`) is no failure.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    code
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

fn serve(source: &Source) -> ExitCode {
    let Loaded { config, notices, .. } = match check::load(source) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.to_string()),
    };
    let supervisor = Supervisor::find(config.supervised);
    if let Err(error) = std::env::set_current_dir(config.dir.path()) {
        return fail(&format!("Can't go to the folder '{}': {}", config.dir.display(), io_error::reason(&error)));
    }
    let to_background = config.daemonize && !supervisor.is_there();
    if to_background && let Err(error) = daemon::to_background() {
        return fail(&format!("Can't go to the background: {}", io_error::reason(&error)));
    }
    let title = config.set_proc_title.then(|| Title::take(&program_name())).flatten();
    if let Err(error) = log::start(&config) {
        let version = config.compat_version;
        let reason = io_error::reason(&error);
        return fail(&format!(
            "\n*** FATAL CONFIG FILE ERROR (Redis {version}) ***\nCan't open the log file: {reason}"
        ));
    }
    log::report_panics();
    signals::install();
    for notice in &notices {
        tracing::info!("{notice}");
    }
    supervisor.greet();
    run_server(config, title, supervisor)
}

fn run_server(mut config: Config, title: Option<Title>, supervisor: Supervisor) -> ExitCode {
    let huge_pages = match config.disable_thp {
        true => {
            limits::disable_huge_pages();
            HugePages::off()
        }
        false => HugePages::start(),
    };
    match limits::make_room_for_clients(config.maxclients) {
        Ok(maxclients) => config.maxclients = maxclients,
        Err(limits::TooFewFiles(text)) => {
            tracing::warn!("{text}");
            return ExitCode::FAILURE;
        }
    }
    if let Some(warning) = check::backlog_warning(config.tcp_backlog) {
        tracing::warn!("WARNING: {warning}");
    }
    affinity::bind_to(&config.server_cpulist.display());
    if let Some(path) = config.pidfile.path_if_set() {
        daemon::write_pid_file(path);
    }
    let clock = Clock { unix_us: unix_us(), monotonic_us: monotonic_us() };
    let mut server = Server::new(config, process::random_seed(), clock);
    if let Err(error) = server.rename_commands() {
        tracing::warn!("{error}");
        return ExitCode::FAILURE;
    }
    if let Err(error) = server.load_users(&process::Process) {
        tracing::warn!("{error}");
        return ExitCode::FAILURE;
    }
    if let Err(error) = server.load_cluster(&process::Process) {
        tracing::warn!("{error}");
        return ExitCode::FAILURE;
    }
    match net::run(server, title, supervisor, huge_pages) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::warn!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The name that the program was started by, a symbolic link's too.
fn program_name() -> String {
    std::env::args_os().next().map_or_else(|| "runnel-server".into(), |name| name.to_string_lossy().into_owned())
}
