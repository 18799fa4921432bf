//! Ctrl-C while a stack changes.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStderr, ChildStdout},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{ORDERS, Project};

/// An apply in the middle of its steps, while its cloud answers nothing.
struct Stuck<'a> {
    project: &'a Project,
    apply: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl<'a> Stuck<'a> {
    fn begin(project: &'a Project) -> Self {
        project.lake(&["plan"]).ok();
        let mut apply = project.spawn(&["apply", "--yes", "--json"]);
        let mut stdout = BufReader::new(apply.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("step_done") {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "the apply ended before its first step");
        }
        let stderr = BufReader::new(apply.stderr.take().unwrap());
        let stuck = Stuck { project, apply, stdout, stderr };
        stuck.cloud(Signal::STOP);
        stuck
    }

    fn cloud(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.project.cloud_pid()).unwrap(), signal).unwrap();
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.apply), Signal::INT).unwrap();
    }

    /// Waits until the apply says so on stderr.
    fn wait_for(&mut self, words: &str) {
        let mut told = String::new();
        while !told.contains(words) {
            told.clear();
            assert!(self.stderr.read_line(&mut told).unwrap() > 0, "it never said `{words}`");
        }
    }

    /// Its exit code, once it has ended.
    fn code(mut self) -> Option<i32> {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        self.apply.wait().unwrap().code()
    }
}

fn goes_on(project: &Project) {
    project.lake(&["apply", "--yes"]).ok();
    project.lake(&["state", "verify"]).ok();
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    project.lake(&["destroy", "--yes"]).ok();
}

#[tokio::test]
async fn ctrl_c_once_ends_and_records_what_is_under_way() {
    let project = Project::new(ORDERS);
    let mut stuck = Stuck::begin(&project);
    stuck.interrupt();
    stuck.wait_for("ending what is under way");
    stuck.cloud(Signal::CONT);
    assert_eq!(stuck.code(), Some(1));
    let verified = project.lake(&["state", "verify", "--json"]).document();
    assert_eq!(verified["pending"], 0, "nothing is left open");
    goes_on(&project);
    assert_eq!(project.listings().await, Vec::<String>::new());
}

#[tokio::test]
async fn ctrl_c_twice_stops_at_once_and_the_next_apply_finds_what_began() {
    let project = Project::new(ORDERS);
    let mut stuck = Stuck::begin(&project);
    stuck.interrupt();
    stuck.wait_for("ending what is under way");
    stuck.interrupt();
    stuck.wait_for("stopped");
    let cloud = project.cloud_pid();
    assert_eq!(stuck.code(), Some(130));
    project.lake(&["state", "verify"]).ok();
    kill_process(Pid::from_raw(cloud).unwrap(), Signal::CONT).unwrap();
    goes_on(&project);
    assert_eq!(project.listings().await, Vec::<String>::new());
}
