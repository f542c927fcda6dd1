"""What the given labels are doubted by: probabilities, evidence, people's answers."""
