//! The process: reads the command line and the configuration, sets the process up, runs the loop, ends it.

use std::process::ExitCode;

use runnel::command_line::{self, Mode};
use runnel::config::{self, Source};
use runnel::process;
use runnel::server::{Clock, Server};
use runnel::util::clock::{monotonic_us, unix_us};

fn main() -> ExitCode {
    match command_line::parse(std::env::args_os()) {
        Ok(mode) => run(mode),
        Err(error) => {
            eprintln!("{}", error.0);
            ExitCode::FAILURE
        }
    }
}

fn run(mode: Mode) -> ExitCode {
    match mode {
        Mode::Version => println!("{}", command_line::version_line()),
        Mode::Help => println!("{}", command_line::help()),
        Mode::Serve(source) => return serve(&source),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn serve(source: &Source) -> ExitCode {
    let loaded = match config::load(source, &config::Disk) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    process::start_log(&loaded.config);
    for notice in &loaded.notices {
        tracing::info!("{notice}");
    }
    let clock = Clock { unix_us: unix_us(), monotonic_us: monotonic_us() };
    let server = Server::new(loaded.config, process::random_seed(), clock);
    match runnel::net::run(server, process::say_hello) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
