"""What bench/run is made of: the machine, the systems, the works, and how results are written down."""
