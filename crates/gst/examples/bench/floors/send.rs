//! Wakes several processes that sleep in `recv`, with one datagram each.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use super::{Reader, Ticks};
use crate::pace::SETTLE;
use crate::{Meter, Result};

/// Sends `frames` datagrams to each of `readers` processes and prints how long the sender took.
pub fn run(readers: u32, frames: u64, fps: u32) -> Result<()> {
    let mut sockets = Vec::new();
    let mut children = Vec::new();
    for _ in 0..readers {
        let (ours, theirs) = UnixDatagram::pair()?;
        children.push(Reader::start(&["floor-receive".into()], Stdio::from(OwnedFd::from(theirs)))?);
        sockets.push(ours);
    }
    let mut ticks = Ticks::new(fps);
    let mut meter = Meter::start();
    for count in 0..SETTLE + frames {
        if count == SETTLE {
            meter = Meter::start();
        }
        ticks.wait();
        for socket in &sockets {
            socket.send(&[1])?;
        }
    }
    let measured = meter.json(frames);
    for socket in &sockets {
        socket.send(&[0])?;
    }
    for child in children {
        child.result()?;
    }
    println!("{measured}}}");
    Ok(())
}

/// The reader. Its standard input is its socket.
pub fn receive() -> Result<()> {
    use std::os::fd::AsFd;
    let socket = UnixDatagram::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    println!("ready");
    let mut byte = [0];
    while socket.recv(&mut byte)? == 1 && byte != [0] {}
    println!("{{}}");
    Ok(())
}
