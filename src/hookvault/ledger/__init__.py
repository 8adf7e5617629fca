"""The account of all deliveries: what was accepted is accounted for, to the last one."""
