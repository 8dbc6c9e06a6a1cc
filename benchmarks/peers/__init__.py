"""What the benchmarks of inference need of other inference engines: the same networks in their formats."""
