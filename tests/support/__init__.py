"""What tests stand on: real servers over loopback sockets, and how they are found or built."""
