"""Whether the name of a class is offensive, names people by what is nobody's business, or names people at all."""
