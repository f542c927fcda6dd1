"""Clusters: classes that a model confuses with one another, found from what it says of pictures that it has not learned from."""
