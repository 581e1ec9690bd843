"""What is remembered: runs, their curves, samples and notices, and imported datasets."""
