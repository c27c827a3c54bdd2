"""Parts of `benchmarks/adaptation.py`: variants, runs, results and the table."""
