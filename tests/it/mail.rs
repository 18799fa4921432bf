//! Mail that leaves the machine: the embedded cloud and a real SMTP server.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    python,
    record::{confirmation_link, follow, until},
    world::{self, ORDERS, Project, Ran},
};

const USER: &str = "ann@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// An SMTP server, and what it has got. It dies with this.
struct Server {
    child: Child,
    port: u16,
    file: PathBuf,
}

impl Server {
    /// Starts one that writes to the project's folder; port 0 takes a free one.
    fn start(project: &Project, port: u16, args: &[&str], env: &[(&str, &str)]) -> Server {
        let file = project.path().join("mails.jsonl");
        let mut command = Command::new(python::bin().join("python"));
        command.arg(python::scripts().join("smtp_server.py")).arg(&file).args(["--port", &port.to_string()]);
        command.args(args).envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the server prints its port");
        Server { child, port, file }
    }

    /// All that it, and those before it, have got.
    fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The mail that says this.
    async fn mail(&self, text: &str) -> Value {
        until(text, async || self.mails().into_iter().find(|mail| mail["text"].as_str().unwrap().contains(text))).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `lake` with variables in its environment.
fn lake(project: &Project, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let output = world::command(&project.path(), args).envs(env.iter().copied()).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A topic with `bob@example.com` subscribed and confirmed by the link in the mail that the server got.
async fn subscribe(project: &Project, server: &Server) -> (aws_sdk_sns::Client, String) {
    let sns = aws_sdk_sns::Client::new(&project.sdk().await);
    let topic = sns.create_topic().name("news").send().await.unwrap().topic_arn.unwrap();
    sns.subscribe().topic_arn(&topic).protocol("email").endpoint("bob@example.com").send().await.unwrap();
    let mail = server.mail("confirm").await;
    assert_eq!(mail["subject"], "AWS Notification - Subscription Confirmation");
    follow(&confirmation_link(mail["text"].as_str().unwrap()).expect("a link in the mail"));
    (sns, topic)
}

#[tokio::test]
async fn mail_leaves_through_the_relay_and_waits_for_one_that_is_away() {
    let project = Project::new(ORDERS);
    let login = [("SMTP_USER", USER), ("SMTP_PASSWORD", PASSWORD)];
    let server = Server::start(&project, 0, &[], &login);
    let url = format!("smtp://{USER}@127.0.0.1:{}", server.port);
    let shown = format!("smtp://ann%40example.com@127.0.0.1:{}", server.port);
    let password = [("LAKE_SMTP_PASSWORD", PASSWORD)];
    lake(&project, &["cloud", "start", "--smtp", &url], &password).ok();

    let (sns, topic) = subscribe(&project, &server).await;
    sns.publish().topic_arn(&topic).subject("It is here").message("käse 🧀 has come").send().await.unwrap();
    let mail = server.mail("käse 🧀 has come").await;
    assert_eq!(mail["subject"], "It is here");
    assert_eq!((&mail["to"], &mail["envelope_to"][0]), (&"bob@example.com".into(), &"bob@example.com".into()));
    assert!(mail["from"].as_str().unwrap().contains("no-reply@sns.amazonaws.com"), "{mail}");
    assert_eq!(
        (mail["envelope_from"].as_str(), mail["user"].as_str()),
        (Some("no-reply@sns.amazonaws.com"), Some(USER))
    );

    // The relay is remembered while the cloud runs, its password in no file, argument or output.
    let status = project.lake(&["cloud", "status", "--json"]).ok();
    assert!(status.contains(&shown), "{status}");
    let again = lake(&project, &["cloud", "start", "--smtp", &url], &password).ok();
    assert!(again.contains("running already"), "{again}");
    let other = lake(&project, &["cloud", "start", "--smtp", "smtp://127.0.0.1:9"], &[]).failed();
    assert!(other.contains(&shown) && other.contains("runs already"), "{other}");
    let cloud = project.path().join("state/cloud");
    let read = |name: &str| std::fs::read_to_string(cloud.join(name)).unwrap();
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", project.cloud_pid())).unwrap();
    for (what, text) in [("status", status), ("file", read("server.json")), ("arguments", arguments)] {
        assert!(text.contains(&shown) && !text.contains(PASSWORD), "{what}: {text}");
    }

    // What cannot be sent is tried again until it can.
    let port = server.port;
    drop(server);
    sns.publish().topic_arn(&topic).message("sent meanwhile").send().await.unwrap();
    until("a try has failed", async || read("server.log").contains("a mail was not sent").then_some(())).await;
    let server = Server::start(&project, port, &[], &login);
    let mail = server.mail("sent meanwhile").await;
    assert_eq!(mail["subject"], "AWS Notification Message");
    assert!(!read("server.log").contains(PASSWORD));

    project.lake(&["cloud", "stop"]).ok();
    project.lake(&["cloud", "start"]).ok();
    let status = project.lake(&["cloud", "status"]).ok();
    assert!(!status.contains("smtp://"), "the next cloud has no relay: {status}");
}

#[test]
fn a_relay_that_needs_a_password_is_refused_without_one_and_so_is_a_password_in_its_url() {
    let project = Project::new(ORDERS);
    for (url, word) in [
        ("smtps://ann@mail.example.com", "LAKE_SMTP_PASSWORD"),
        ("smtps://ann:hush@mail.example.com", "LAKE_SMTP_PASSWORD"),
        ("smtp://ann@mail.example.com", "smtp+starttls"),
        ("mail.example.com:25", "smtps://"),
    ] {
        let refused = project.lake(&["cloud", "start", "--smtp", url]);
        assert_eq!(refused.code, 64, "{refused:?}");
        assert!(refused.stderr.contains(word) && !refused.stderr.contains("hush"), "{refused:?}");
    }
    assert!(!project.path().join("state/cloud/server.json").exists(), "nothing was started");
}

#[tokio::test]
async fn a_relay_is_spoken_to_over_tls_when_its_url_says_so() {
    for (scheme, tls) in [("smtp+starttls", "starttls"), ("smtps", "wrapper")] {
        let project = Project::new(ORDERS);
        let (cert, key) = certificate(&project);
        let server = Server::start(&project, 0, &["--tls", tls, "--cert", &cert, "--key", &key], &[]);
        let url = format!("{scheme}://localhost:{}", server.port);
        // Whoever the system trusts is trusted: here, the server's own certificate.
        lake(&project, &["cloud", "start", "--smtp", &url], &[("SSL_CERT_FILE", &cert)]).ok();
        let (sns, topic) = subscribe(&project, &server).await;
        sns.publish().topic_arn(&topic).message("in private").send().await.unwrap();
        assert_eq!(server.mail("in private").await["tls"], true);
    }
}

/// A certificate for `localhost`, signed by itself, and its key.
fn certificate(project: &Project) -> (String, String) {
    let path = |name: &str| project.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &key, "-out", &cert]);
    python::run(&mut command);
    (cert, key)
}
