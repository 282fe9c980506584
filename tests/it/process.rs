//! The program as a process: how it starts, what it says, how it is told to end, what it leaves behind.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{
    Client, Folder, Running, limit_files, program, request, run, send_signal, start, start_in, text, wait_for,
};

#[test]
fn without_a_configuration_it_serves_this_machine_only_and_says_so_in_three_lines() {
    let server = start(&[]);
    assert_eq!(server.connect().command(&["PING"]), "PONG");
    let log = server.log();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].contains(" * Persistence: "), "{log}");
    assert!(
        lines[1].contains(&format!(" * Working folder: {}", server.folder.text("").trim_end_matches('/'))),
        "{log}"
    );
    assert!(lines[2].contains(&format!(" * Ready to accept connections tcp on 127.0.0.1:{}", server.port)), "{log}");
    let head: Vec<&str> = lines[0].split(' ').collect();
    assert_eq!(head[0], format!("{}:M", server.pid()));
    assert_eq!((head[1].len(), head[2].len(), head[3].len(), head[4].len()), (2, 3, 4, "11:40:42.579".len()), "{log}");
    if let Some(host) = address_in_a_network() {
        TcpStream::connect((host, server.port)).expect_err("nothing listens there");
    }
}

/// An address of this machine that is not the loopback interface's.
fn address_in_a_network() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Chooses a route; nothing is sent.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn a_configuration_comes_from_a_file_from_standard_input_and_from_options() {
    let folder = Folder::new();
    fs::write(folder.path("a.conf"), "databases 3\nrequirepass one\n").unwrap();
    fs::write(folder.path("input"), "requirepass two\nloglevel \"verbose\"\n").unwrap();
    let (file, input) = (folder.text("a.conf"), fs::File::open(folder.path("input")).unwrap());
    let server = start_in(folder, &[&file, "-", "--bind", "127.0.0.1"], |command| {
        command.stdin(Stdio::from(input));
    });
    assert!(server.log().contains(" - Server initialized"), "{}", server.log());
    assert_eq!(server.connect().command(&["PING"]), "-NOAUTH Authentication required.");
}

#[test]
fn with_a_configuration_file_it_listens_where_redis_would() {
    let folder = Folder::new();
    fs::write(folder.path("empty.conf"), "").unwrap();
    let file = folder.text("empty.conf");
    let server = start_in(folder, &[&file], |_| {});
    assert!(server.log().contains(&format!("tcp on 0.0.0.0:{}", server.port)), "{}", server.log());
}

#[test]
fn a_line_that_cannot_be_ends_the_start_with_its_place() {
    let folder = Folder::new();
    fs::write(folder.path("bad.conf"), "port 0\n\nmaxclients many\n").unwrap();
    let output = run(&folder, &[&folder.text("bad.conf")]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.2.0) ***\nReading the configuration file, at line 3 ({})\n>>> 'maxclients many'\n\
         argument couldn't be parsed into an integer\n",
        folder.text("bad.conf")
    );
    assert_eq!(text(&output.stderr), expected);
    for (arguments, complaint) in [
        (&["--no-such-thing", "1"][..], "Bad directive or wrong number of arguments"),
        (
            &["/no/such/file.conf"],
            "Fatal error, can't open config file '/no/such/file.conf': No such file or directory",
        ),
        (&["--dir", "/no/such/folder"], "No such file or directory"),
        (&["--logfile", "/no/such/folder/log"], "Can't open the log file: No such file or directory"),
        (&["--check-rdb", "dump.rdb"], "Cannot open file dump.rdb: No such file or directory"),
        (&["--check-aof", "a.manifest"], "Cannot open file: a.manifest"),
    ] {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        // The checks tell what they found where redis-check-rdb does, on standard output.
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(complaint), "{arguments:?}: {said}");
    }
}

#[test]
fn modes_that_only_print() {
    let folder = Folder::new();
    let version = run(&folder, &["--version"]);
    assert!(version.status.success());
    assert!(text(&version.stdout).starts_with("Redis server v=8.2.0 "), "{}", text(&version.stdout));
    assert!(text(&run(&folder, &["--help"]).stdout).contains("--maxclients"));
    assert!(text(&run(&folder, &["--check-system"]).stdout).contains("[open-files]..."));
    fs::write(folder.path("c.conf"), "maxclients 5\nio-threads 4\nport 6379\n").unwrap();
    let check = run(&folder, &["--check-config", "c.conf"]);
    assert!(check.status.success());
    let lines = text(&check.stdout);
    assert_eq!(lines.lines().next(), Some("c.conf is valid."));
    assert!(lines.contains("\n# The directive 'io-threads' has no effect: "), "{lines}");
    assert!(lines.contains("\nmaxclients 5\n") && !lines.contains("port"), "{lines}");
}

#[test]
fn a_link_named_redis_server_is_the_same_program() {
    let folder = Folder::new();
    symlink(env!("CARGO_BIN_EXE_runnel-server"), folder.path("redis-server")).unwrap();
    let output = std::process::Command::new(folder.path("redis-server")).arg("-v").output().unwrap();
    assert!(text(&output.stdout).starts_with("Redis server v="));
}

#[test]
fn a_directive_without_meaning_here_is_one_line_in_the_log() {
    let server = start(&["--io-threads", "4", "--activedefrag", "no", "--activedefrag", "no"]);
    let log = server.log();
    let notices: Vec<&str> = log.lines().filter(|line| line.contains(" has no effect: ")).collect();
    assert_eq!(notices.len(), 2, "{log}");
}

#[test]
fn sigterm_and_sigint_end_it_and_it_tidies_up() {
    for (signal, name) in [(libc::SIGTERM, "SIGTERM"), (libc::SIGINT, "SIGINT")] {
        let folder = Folder::new();
        let (pid_file, socket) = (folder.text("pid"), folder.text("socket"));
        let mut server = start_in(folder, &["--pidfile", &pid_file, "--unixsocket", &socket], |_| {});
        assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{}\n", server.pid()));
        let mut client = server.connect();
        assert_eq!(client.command(&["PING"]), "PONG");
        server.signal(signal);
        assert_eq!(server.ended().code(), Some(0));
        assert_eq!(client.read_to_end(), b"");
        assert!(!fs::exists(&pid_file).unwrap() && !fs::exists(&socket).unwrap());
        let log = server.log();
        let told: Vec<&str> = log.lines().skip(3).filter_map(|line| line.splitn(6, ' ').nth(5)).collect();
        let scheduled = format!("Received {name} scheduling shutdown...");
        let expected = [
            scheduled.as_str(),
            "User requested shutdown...",
            "Saving the final RDB snapshot before exiting.",
            "DB saved on disk",
            "Removing the pid file.",
            "Removing the unix socket file.",
            "runnel is now ready to exit, bye bye...",
        ];
        assert_eq!(
            told.iter().map(|text| text.trim_start_matches(['*', '#', ' '])).collect::<Vec<_>>(),
            expected,
            "{log}"
        );
    }
}

#[test]
fn a_second_sigint_ends_it_at_once() {
    let mut server = start(&["--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.send(b"DEBUG SLEEP 30\r\n");
    // A server that sleeps lets nobody in.
    wait_for("the server to sleep", || {
        let mut other = server.connect_briefly(Duration::from_millis(300));
        other.is_silent_after(b"PING\r\n").then_some(())
    });
    server.signal(libc::SIGINT);
    // Signals of one kind that wait together are one signal.
    std::thread::sleep(Duration::from_millis(200));
    server.signal(libc::SIGINT);
    assert_eq!(server.ended().code(), Some(1));
    assert!(server.log().ends_with("You insist... exiting now.\n"), "{}", server.log());
}

#[test]
fn a_client_may_shut_it_down() {
    let mut server = start(&[]);
    let mut client = server.connect();
    client.send(b"SHUTDOWN NOSAVE\r\n");
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(server.ended().code(), Some(0));
    assert!(server.log().contains("User requested shutdown..."), "{}", server.log());
}

#[test]
fn directives_that_concern_the_process_change_while_it_runs() {
    let mut server = start(&[]);
    let mut client = server.connect();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    assert_eq!(client.command(&["CONFIG", "SET", "port", &free.to_string(), "loglevel", "verbose"]), "OK");
    TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).expect_err("nothing listens there any more");
    server.port = free;
    assert_eq!(server.connect().command(&["PING"]), "PONG");
    assert!(server.log().contains(" - Accepted 127.0.0.1:"), "{}", server.log());
    let refusal = client.command(&["CONFIG", "SET", "loglevel", "warning", "bind", "192.0.2.77"]);
    assert_eq!(
        refusal,
        "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses."
    );
    assert_eq!(client.command(&["CONFIG", "GET", "loglevel"]), "[loglevel verbose]");
    assert_eq!(server.connect().command(&["PING"]), "PONG");
}

#[test]
fn a_hangup_is_nothing_to_end_for() {
    let server = start(&[]);
    server.signal(libc::SIGHUP);
    server.signal(libc::SIGPIPE);
    assert_eq!(server.connect().command(&["PING"]), "PONG");
}

/// Ends a process that is nobody's child any more.
struct Daemon(i32);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

#[test]
fn in_the_background_it_has_a_session_of_its_own_and_a_pid_file() {
    let folder = Folder::new();
    let files = ["pid", "port", "log"].map(|name| folder.text(name));
    let [pid_file, port_file, log] = &files;
    let options =
        ["--daemonize", "yes", "--pidfile", pid_file, "--port", "0", "--port-file", port_file, "--logfile", log];
    assert!(run(&folder, &options).status.success(), "the program that was started ends at once");
    let number = |path: &str| wait_for(path, || fs::read_to_string(path).ok()?.trim().parse::<i32>().ok());
    let daemon = Daemon(number(pid_file));
    let port = u16::try_from(number(port_file)).unwrap();
    let mut client = Client::over(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
    assert_eq!(client.command(&["PING"]), "PONG");
    // SAFETY: takes a number.
    let session = unsafe { libc::getsid(daemon.0) };
    // SAFETY: as above.
    assert!(session > 0 && session != unsafe { libc::getsid(0) } && session != daemon.0);
    assert_eq!(fs::read_link(format!("/proc/{}/fd/1", daemon.0)).unwrap().to_str(), Some("/dev/null"));
    send_signal(daemon.0, libc::SIGTERM);
    wait_for("the daemon's end", || (!fs::exists(pid_file).unwrap()).then_some(()));
    wait_for("its last line", || fs::read_to_string(log).unwrap().contains("bye bye").then_some(()));
}

#[test]
fn systemd_hears_when_it_is_ready_and_when_it_stops() {
    let folder = Folder::new();
    let notify = UnixDatagram::bind(folder.path("notify")).unwrap();
    notify.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let socket = folder.text("notify");
    // A supervised server stays in the foreground whatever else is configured.
    let mut server = start_in(folder, &["--supervised", "systemd", "--daemonize", "yes"], |command| {
        command.env("NOTIFY_SOCKET", &socket);
    });
    let hear = || {
        let mut buffer = [0; 256];
        let count = notify.recv(&mut buffer).expect("news");
        text(&buffer[..count])
    };
    assert!(hear().contains("READY=1\n"));
    server.signal(libc::SIGTERM);
    assert!(hear().contains("STOPPING=1\n"));
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn the_log_file_may_be_moved_away_at_any_time() {
    let folder = Folder::new();
    let (log, moved) = (folder.text("server.log"), folder.text("server.log.1"));
    let server = start_in(folder, &["--logfile", &log, "--loglevel", "verbose"], |_| {});
    fs::rename(&log, &moved).unwrap();
    server.connect().command(&["PING"]);
    wait_for("a new log file", || fs::read_to_string(&log).ok()?.contains(" - Accepted 127.0.0.1:").then_some(()));
    assert!(fs::read_to_string(&moved).unwrap().contains("Ready to accept connections"));
}

#[test]
fn logs_can_be_json() {
    let server = start(&["--log-format", "json"]);
    for line in server.log().lines() {
        assert!(line.starts_with("{\"time\":\"20") && line.ends_with("\"}"), "{line}");
        assert!(
            line.contains(&format!("\"pid\":{},\"role\":\"M\",\"level\":\"notice\",\"message\":\"", server.pid())),
            "{line}"
        );
    }
}

#[test]
fn it_must_listen_somewhere() {
    let folder = Folder::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, complaint) in [
        (&["--port", "0"][..], "# Configured to not listen anywhere, exiting."),
        (&["--port", &port], "bind: Address already in use"),
        (&["--port", &port], "# Failed listening on port"),
        (
            &["--port", "0", "--unixsocket", "/no/such/folder/socket"],
            "# Failed opening Unix socket: No such file or directory",
        ),
        (&["--port", "0", "--tls-port", "7001"], "TLS"),
    ] {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stdout).contains(complaint), "{arguments:?}: {}", text(&output.stdout));
    }
}

#[test]
fn it_listens_on_every_address_that_is_there() {
    let server = start(&["--bind", "127.0.0.1", "-192.0.2.77", "127.0.0.2"]);
    for host in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)] {
        assert_eq!(server.connect_at(host.into()).command(&["PING"]), "PONG");
    }
}

#[test]
fn a_unix_socket_has_its_permissions() {
    let folder = Folder::new();
    let socket = folder.path("socket");
    let server = start_in(folder, &["--unixsocket", &socket.display().to_string(), "--unixsocketperm", "700"], |_| {});
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(Client::unix(&socket).command(&["ECHO", "hi"]), "hi");
    drop(server);
}

#[test]
fn protected_mode_lets_in_this_machine_only_until_there_is_a_password() {
    let Some(host) = address_in_a_network() else {
        eprintln!("this machine has the loopback interface only: nobody could come from elsewhere");
        return;
    };
    let server = start(&["--bind", "*"]);
    assert_eq!(server.connect().command(&["PING"]), "PONG");
    let refusal = text(&server.connect_at(host).read_to_end());
    assert!(refusal.starts_with("-DENIED ") && refusal.ends_with("\r\n"), "{refusal}");
    for options in [&["--bind", "*", "--requirepass", "secret"][..], &["--bind", "*", "--protected-mode", "no"]] {
        let reply = start(options).connect_at(host).command(&["PING"]);
        assert!(reply == "PONG" || reply.starts_with("-NOAUTH"), "{options:?}: {reply}");
    }
}

#[test]
fn clients_beyond_maxclients_are_told_so() {
    let server = start(&["--maxclients", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.command(&["PING"]), "PONG");
    }
    assert_eq!(server.connect().read_to_end(), b"-ERR max number of clients reached\r\n");
    clients.pop();
    wait_for("room for another", || {
        let mut client = server.connect();
        let _ = client.try_send(b"PING\r\n");
        (client.read_some() == b"+PONG\r\n").then_some(())
    });
}

#[test]
fn maxclients_comes_down_to_what_the_kernel_grants() {
    if is_privileged() {
        eprintln!("this user may raise every limit");
    }
    let folder = Folder::new();
    let output = program_with_files(&folder, 20, &["--port", "0"]);
    let refused = "# Your current 'ulimit -n' of 20 is not enough for the server to start. Please increase your open file limit to \
                   at least 10032. Exiting.";
    if !is_privileged() {
        assert!(output.contains(refused), "{output}");
    }
    let server = start_in(folder, &["--maxclients", "100"], |command| limit_files(command, 64));
    let log = server.log();
    let (raised, reduced) = (
        "* Increased maximum number of open files to 132 (it was originally set to 64).",
        "# Current maximum open files is 64. maxclients has been reduced to 32 to compensate for low ulimit.",
    );
    assert!(log.contains(if is_privileged() { raised } else { reduced }), "{log}");
    assert_eq!(server.connect().command(&["PING"]), "PONG");
}

fn program_with_files(folder: &Folder, files: u64, arguments: &[&str]) -> String {
    let mut command = program(folder, arguments);
    limit_files(&mut command, files);
    text(&command.output().expect("the program runs").stdout)
}

/// Whether a process of this user may raise its own hard limits.
fn is_privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("a /proc file system");
    let line = status.lines().find(|line| line.starts_with("CapEff:")).expect("capabilities");
    let mask = u64::from_str_radix(line.trim_start_matches("CapEff:").trim(), 16).expect("a mask");
    const CAP_SYS_RESOURCE: u64 = 24;
    mask >> CAP_SYS_RESOURCE & 1 == 1
}

#[test]
fn the_process_title_says_where_it_listens() {
    let server = start(&["--set-proc-title", "yes", "--proc-title-template", "queue {port} {config-file}x"]);
    let title =
        || text(&fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap()).trim_end_matches('\0').to_owned();
    assert_eq!(title(), format!("queue {} x", server.port));
    // What stood behind the arguments still works.
    assert!(fs::read(format!("/proc/{}/environ", server.pid())).is_ok());
    let plain = start(&["--set-proc-title", "no"]);
    let command_line = text(&fs::read(format!("/proc/{}/cmdline", plain.pid())).unwrap());
    assert!(command_line.contains("set-proc-title\0no\0"), "{command_line:?}");
}

#[test]
fn an_idle_client_is_closed_after_its_time_out() {
    let server = start(&["--timeout", "1"]);
    let begin = Instant::now();
    let mut client = server.connect();
    assert_eq!(client.command(&["PING"]), "PONG");
    assert_eq!(client.read_to_end(), b"");
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[test]
fn no_clients_and_one_silent_client_cost_no_processor_time() {
    let server = start(&[]);
    assert_idle(&server);
    let mut client = server.connect();
    assert_eq!(client.command(&["SET", "key", "value", "EX", "1000"]), "OK");
    assert_idle(&server);
}

fn assert_idle(server: &Running) {
    const WATCHED: Duration = Duration::from_secs(2);
    let before = processor_time(server.pid());
    std::thread::sleep(WATCHED);
    let used = processor_time(server.pid()) - before;
    assert!(used < WATCHED / 100, "an idle server used {used:?} in {WATCHED:?}");
}

#[test]
fn info_tells_what_the_loop_was_busy_with() {
    let server = start(&["--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.send(&[request(&["MULTI"]), request(&["DEBUG", "SLEEP", "0.05"]), request(&["EXEC"])].concat());
    assert_eq!([client.reply(), client.reply()], ["OK", "QUEUED"]);
    client.reply();
    let mut number = |field| client.info(field).parse::<u64>().expect("a number");
    let (commands_us, turns_us) = (number("eventloop_duration_cmd_sum"), number("eventloop_duration_sum"));
    assert!(commands_us >= 50_000, "commands took {commands_us} us");
    // Were the commands of EXEC counted twice, they would have taken longer than the turn.
    assert!(commands_us <= turns_us, "commands took {commands_us} us of {turns_us}");
    assert_ne!(number("eventloop_cycles"), 0);

    for (maxmemory, exceeds) in [("1", true), ("0", false)] {
        client.command(&["CONFIG", "SET", "maxmemory", maxmemory]);
        wait_for("the excess", || ((client.info("current_eviction_exceeded_time") != "0") == exceeds).then_some(()));
    }
    assert_ne!(client.info("total_eviction_exceeded_time"), "0");
}

/// What all threads of a process have used.
fn processor_time(pid: i32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a /proc file system");
    let of_task = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).expect("the scheduler's figures");
        Duration::from_nanos(text.split(' ').next().and_then(|field| field.parse().ok()).expect("nanoseconds"))
    };
    tasks.map(|task| of_task(task.expect("a task").path())).sum()
}

#[test]
fn too_many_connections_for_the_kernel_wait_and_do_not_spin() {
    let server = start(&[]);
    let open = server.open_files() as u64;
    let limit = libc::rlimit { rlim_cur: open + 2, rlim_max: open + 2 };
    // SAFETY: the limit is live, and nothing is asked for in return.
    assert_eq!(unsafe { libc::prlimit(server.pid(), libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) }, 0);
    let flooded = std::iter::repeat_with(|| server.connect()).take(10).collect::<Vec<_>>();
    wait_for("the complaint", || {
        server.log().contains("# Accepting client connection: Too many open files").then_some(())
    });
    let before = processor_time(server.pid());
    std::thread::sleep(Duration::from_millis(500));
    let used = processor_time(server.pid()) - before;
    assert!(used < Duration::from_millis(100), "waiting for descriptors used {used:?}");
    drop(flooded);
    wait_for("room again", || {
        let mut client = server.connect();
        let _ = client.try_send(b"PING\r\n");
        (client.read_some() == b"+PONG\r\n").then_some(())
    });
}
