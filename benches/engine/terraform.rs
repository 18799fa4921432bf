//! Terraform with the same shape: `terraform_data`, whose provider is part of it and keeps nothing anywhere.

use std::{
    fmt::Write,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    Measured, folder,
    shape::{CHAIN, name, size, title, zone},
};

/// Programs of both.
const BOTH: &[usize] = &[1_000];
/// Programs that take minutes of Terraform.
const BOTH_LONG: &[usize] = &[1_000, 5_000];

/// Measures Terraform once a program, where it is on the PATH, and compares.
pub fn side_by_side(applied: &[Measured], planned: &[Measured], long: bool) {
    let Some(version) = version() else {
        println!("terraform is not on the PATH");
        return;
    };
    println!("| | resources | {version} | lake | ratio | aim |");
    println!("|---|---|---|---|---|---|");
    for &resources in if long { BOTH_LONG } else { BOTH } {
        let folder = folder();
        fs::write(folder.path().join("main.tf"), configuration(resources)).expect("the folder can be written");
        terraform(folder.path(), &["init", "-backend=true"]);
        let apply = terraform(folder.path(), &["apply", "-auto-approve"]);
        let plan = terraform(folder.path(), &["plan", "-detailed-exitcode"]);
        for (what, theirs, ours) in [("apply from nothing", apply, applied), ("plan without changes", plan, planned)] {
            let Some(ours) = ours.iter().find(|ours| ours.resources == resources) else { continue };
            let (theirs, ours) = (theirs.as_secs_f64(), ours.wall.as_secs_f64());
            println!("| {what} | {resources} | {theirs:.2} s | {ours:.3} s | {:.0} | 50 |", theirs / ours);
        }
    }
}

fn version() -> Option<String> {
    let output = Command::new("terraform").args(["version", "-json"]).output().ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(format!("terraform {}", version.get("terraform_version")?.as_str()?))
}

fn terraform(folder: &Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new("terraform");
    command.arg(format!("-chdir={}", folder.display())).args(arguments).args(["-input=false", "-no-color"]);
    command.env("CHECKPOINT_DISABLE", "1");
    let begun = Instant::now();
    let output = command.output().expect("terraform is on the PATH");
    let took = begun.elapsed();
    assert!(output.status.success(), "terraform {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

fn configuration(resources: usize) -> String {
    let mut text = String::new();
    for place in 0..resources {
        let (name, title, zone, size) = (name(place), title(place), zone(place), size(place, 0));
        writeln!(text, "resource \"terraform_data\" \"{name}\" {{\n  input = {{").expect("a String takes all");
        writeln!(text, "    title = \"{title}\"\n    zone = \"{zone}\"\n    size = {size}")
            .expect("a String takes all");
        if place % CHAIN != 0 {
            let previous = crate::shape::name(place - 1);
            writeln!(text, "    previous = terraform_data.{previous}.id").expect("a String takes all");
        }
        writeln!(text, "  }}\n}}").expect("a String takes all");
    }
    text
}
