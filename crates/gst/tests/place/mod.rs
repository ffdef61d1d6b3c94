//! What the tests of a program share: GStreamer with the elements registered, in an iceoryx2 domain of the process's own.

use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};

use gst_plugin_iceoryx2_video::DOMAIN_VARIABLE;

/// How many [`Place`]s exist.
static USERS: Mutex<usize> = Mutex::new(0);

/// A test's share of the process's domain. The last one removes the domain's files, and fails if a participant left shared memory.
pub struct Place(());

impl Place {
    pub fn enter() -> Self {
        static DOMAIN: Once = Once::new();
        // SAFETY: every test enters before it calls anything that reads the environment.
        DOMAIN.call_once(|| unsafe {
            std::env::set_var(DOMAIN_VARIABLE, format!("{}:{}", root().display(), prefix()));
        });
        *USERS.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        *users -= 1;
        if *users > 0 {
            return;
        }
        let files = shared_memory();
        for path in &files {
            let _ = std::fs::remove_file(path);
        }
        let _ = std::fs::remove_dir_all(root());
        let left: Vec<_> = files.iter().filter(|path| !path.to_string_lossy().ends_with(".global_mgmt")).collect();
        assert!(std::thread::panicking() || left.is_empty(), "shared memory left behind: {left:?}");
    }
}

fn prefix() -> String {
    format!("r{}_", std::process::id())
}

fn root() -> PathBuf {
    PathBuf::from(format!("/tmp/{}", prefix()))
}

fn shared_memory() -> Vec<PathBuf> {
    let files = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix()))).collect()
}
