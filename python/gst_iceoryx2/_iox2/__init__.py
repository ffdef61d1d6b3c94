"""Everything about iceoryx2: its binding, the domain, services, who lives and what crashed programs leave."""
