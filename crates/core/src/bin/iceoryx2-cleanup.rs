//! `iceoryx2-cleanup [ROOT [PREFIX]]` removes what crashed participants in an iceoryx2 domain left behind.
//!
//! Publishers and subscribers start it. It is a separate program because a process with two copies of iceoryx2 must not clean up.

use std::process::ExitCode;

use gst_plugin_iceoryx2_video::Domain;
use gst_plugin_iceoryx2_video::iox2::helper::clean;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let domain = match arguments.as_slice() {
        [] => Domain::from_env(),
        [root] => Domain::at(root, "iox2_"),
        [root, prefix] => Domain::at(root, prefix),
        _ => {
            eprintln!("usage: iceoryx2-cleanup [ROOT [PREFIX]]");
            return ExitCode::from(2);
        }
    };
    match domain.and_then(|domain| clean(&domain)) {
        Ok(report) => {
            println!(
                "removed {} dead nodes ({} could not be removed) and {} files from participants that died while starting or exiting",
                report.nodes, report.failed_nodes, report.files
            );
            ExitCode::from(u8::from(report.failed_nodes > 0))
        }
        Err(error) => {
            eprintln!("iceoryx2-cleanup: {error}");
            ExitCode::FAILURE
        }
    }
}
