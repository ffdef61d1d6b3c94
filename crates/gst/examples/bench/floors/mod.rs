//! Lower limits of any transport: the system calls and the copy alone, without GStreamer.

pub mod copy;
pub mod send;
pub mod wake;

use std::io::BufRead;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// A second process of this program, at the other end.
struct Reader {
    child: Child,
    output: std::io::BufReader<ChildStdout>,
}

impl Reader {
    fn start(arguments: &[String], input: Stdio) -> Result<Self> {
        let mut child =
            Command::new(std::env::current_exe()?).args(arguments).stdin(input).stdout(Stdio::piped()).spawn()?;
        let output = std::io::BufReader::new(child.stdout.take().expect("asked for"));
        let mut reader = Self { child, output };
        match reader.line()?.as_str() {
            "ready" => Ok(reader),
            other => Err(format!("the reader began with {other:?}").into()),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// The line of JSON that the process prints.
    fn result(mut self) -> Result<String> {
        let line = self.line()?;
        if self.child.wait()?.success() { Ok(line) } else { Err("the reader failed".into()) }
    }
}

/// Sleeps until the next frame is due.
struct Ticks {
    interval: Duration,
    due: Instant,
}

impl Ticks {
    /// Frames per second; 0 = as fast as possible.
    fn new(fps: u32) -> Self {
        let interval = if fps == 0 { Duration::ZERO } else { Duration::from_secs(1) / fps };
        Self { interval, due: Instant::now() }
    }

    fn wait(&mut self) {
        if !self.interval.is_zero() {
            self.due += self.interval;
            std::thread::sleep(self.due.saturating_duration_since(Instant::now()));
        }
    }
}
