//! iceoryx2's types, in the variants that the SDK uses.

use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::event;

/// iceoryx2's service type for communication between processes, with thread-safe ports.
pub type Iox = ipc_threadsafe::Service;
/// An iceoryx2 node.
pub type Iox2Node = Node<Iox>;
pub(crate) type EventService = event::PortFactory<Iox>;

/// Release of iceoryx2 that this crate uses. All participants in a service must use the same release.
pub const IOX2_VERSION: &str = "0.10.0";
