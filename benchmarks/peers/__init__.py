"""What benchmarks/inference_cpu.py needs of other inference engines: the same networks in their formats."""
