"""What is odd about the classes themselves: their names, their sizes, what gives them away."""
