//! Servers of others, each on a free port of the loopback, with an environment of its own, ended with the test.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::python;

/// How long a server may take to answer.
const START_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long it may take to end once it was asked to.
const END_WAIT_MAX: Duration = Duration::from_secs(10);

/// Pause between looks at a server that starts or ends: neither tells by itself.
const PAUSE: Duration = Duration::from_millis(50);

/// Lines of its log that a failed test shows.
const LOG_LINES: usize = 40;

/// A running server.
pub struct Server {
    child: Child,
    port: u16,
    /// Its home and temporary folder.
    _folder: tempfile::TempDir,
}

impl Server {
    /// ministack: an emulator of AWS in Python that knows nothing of lake. With `auth`, policies of users and of
    /// functions' roles count.
    pub fn ministack(auth: bool) -> Server {
        Server::start("/_ministack/health", |bin, port| {
            let mut command = Command::new(bin.join("ministack"));
            // Without these two it listens on every interface.
            command.env("BIND_HOST", "127.0.0.1").env("IOT_MTLS_ENABLED", "0").env("SFTP_ENABLED", "0");
            command.env("MINISTACK_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
            // Functions run as processes, and get this address.
            command.env("LAMBDA_EXECUTOR", "local").env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
            if auth {
                command.env("AUTH", "true").env("MINISTACK_ACCOUNT_ID", super::ACCOUNT);
            }
            command
        })
    }

    /// microburst: a proxy that answers for AWS, in its own formats, with what its rules say.
    pub fn microburst(upstream: &Server) -> Server {
        Server::start("/_microburst/health", |bin, port| {
            let mut command = Command::new(bin.join("microburst"));
            command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--upstream", &upstream.endpoint()]);
            command
        })
    }

    fn start(health: &str, command: impl FnOnce(&Path, u16) -> Command) -> Server {
        let bin = python::environment("ministack.txt");
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(&bin, port);
        let set: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        // Functions inherit what the server has: a variable that lake forgot to give them would be hidden.
        command.env_clear().envs(set).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        command.env("HOME", folder.path()).env("TMPDIR", folder.path()).current_dir(folder.path());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let mut server = Server { child: command.spawn().unwrap(), port, _folder: folder };
        let begun = Instant::now();
        while !server.answers(health) {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended: {}", server.log());
            assert!(begun.elapsed() < START_WAIT_MAX, "no answer at {health}: {}", server.log());
            std::thread::sleep(PAUSE);
        }
        server
    }

    /// Where it listens. By number: a bucket of `localhost` would be looked for at `bucket.localhost`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self._folder.path().join("log")).unwrap_or_default()
    }

    fn answers(&self, path: &str) -> bool {
        self.ask("GET", path, "").is_ok_and(|(status, _)| status == 200)
    }

    /// One request to the server's own interface: the status and the body of the answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\
             \r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Ok((status, body))
    }

    /// Gives microburst its rules.
    pub fn rules(&self, rules: &Value) {
        let (status, answer) = self.ask("POST", "/_microburst/rules", &rules.to_string()).unwrap();
        assert!((200..300).contains(&status), "{status}: {answer}");
    }

    /// The faults that have been done: service and operation of each.
    pub fn fired(&self) -> Vec<String> {
        let (_, answer) = self.ask("GET", "/_microburst/fired?limit=1000", "").unwrap();
        let fired: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
        let fired = fired.as_array().cloned().or_else(|| fired["fired"].as_array().cloned()).unwrap_or_default();
        let text = |fault: &Value, member: &str| fault[member].as_str().unwrap_or_default().to_owned();
        fired.iter().map(|fault| format!("{} {}", text(fault, "service"), text(fault, "operation"))).collect()
    }
}

impl Drop for Server {
    /// Its processes end with it: functions that wait for the next event are among them.
    #[expect(clippy::print_stderr, reason = "a test that fails shows what the server had to say")]
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::TERM);
        let begun = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && begun.elapsed() < END_WAIT_MAX {
            std::thread::sleep(PAUSE);
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("aiohttp.access")).collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("the server said at last:\n{}", last.join("\n"));
        }
    }
}
