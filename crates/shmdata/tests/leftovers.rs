//! Runs in its own process, because another writer could get the inode of a removed socket, and with it the same keys.

use std::process::Command;

use gst_plugin_iceoryx2_shmdata::{Writer, WriterOptions};

#[test]
fn nothing_is_left_in_the_kernel() {
    let path = std::env::temp_dir().join(format!("shml{}", std::process::id()));
    let writer = Writer::new(&path, "x", WriterOptions::default()).unwrap();
    let keys = {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(&path).unwrap();
        let file = ((meta.dev() & 0xff) << 16) | (meta.ino() & 0xffff);
        [format!("0x6e{file:06x}"), format!("0x6d{file:06x}")]
    };
    let present = || {
        let output = Command::new("ipcs").args(["-m", "-s"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        keys.iter().filter(|key| text.contains(key.as_str())).count()
    };
    assert_eq!(present(), 2);
    drop(writer);
    assert_eq!(present(), 0);
}
