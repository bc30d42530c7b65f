"""A room at the speed of one wire: one scenario for each promise about multicast, all on the lab (bench/lab)."""
