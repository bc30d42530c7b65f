"""Test hosts on one machine: network namespaces joined by bridges, with limited links, loss and multicast routing."""
