"""ROS 2 topics as ends of a bridge, over the wire of rmw_zenoh: Zenoh keys, CDR, and liveliness tokens."""
