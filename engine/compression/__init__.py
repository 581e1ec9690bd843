"""What makes a trained model smaller: layers of 8-bit numbers, and how they are found."""
