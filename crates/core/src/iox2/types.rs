//! iceoryx2's own types, as the SDK uses them.

use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::event;

/// iceoryx2's service type: inter-process, ports usable from any thread.
pub type Iox = ipc_threadsafe::Service;
/// A node of iceoryx2.
pub type Iox2Node = Node<Iox>;
pub(crate) type EventService = event::PortFactory<Iox>;

/// iceoryx2 release this crate is pinned to; peers must have the same.
pub const IOX2_VERSION: &str = "0.10.0";
