//! The examples do what they say, as two processes.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds the examples, which `cargo test --test examples` alone does not.
fn build() -> PathBuf {
    let arguments = ["build", "--quiet", "--examples", "--package", env!("CARGO_PKG_NAME")];
    assert!(Command::new(env!("CARGO")).args(arguments).status().unwrap().success());
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples")
}

#[test]
fn a_published_picture_is_printed_by_the_subscriber() {
    let root = format!("/tmp/iox2e{}", std::process::id());
    let domain = format!("{root}:e{}_", std::process::id());
    let folder = build();
    let start = |name| {
        Command::new(folder.join(name)).env("IOX2_VIDEO_DOMAIN", &domain).stdout(Stdio::piped()).spawn().unwrap()
    };
    let run = |_| {
        let publisher = start("publish");
        let subscriber = start("subscribe");
        assert!(publisher.wait_with_output().unwrap().status.success());
        let output = subscriber.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    // The subscriber waits for a second, and the publisher ends after two: on a busy machine they may miss each other.
    let is_received = |text: &String| text.matches("640x640 pts 0\n").count() >= 5;
    let text = (0..20).map(run).find(is_received).expect("five pictures arrive");
    assert!(text.contains("1228800 bytes, caps Some(\"video/x-raw, format=(string)BGR"), "{text}");
    std::fs::remove_dir_all(root).unwrap();
    for entry in std::fs::read_dir("/dev/shm").unwrap().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&format!("e{}_", std::process::id()))) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}
