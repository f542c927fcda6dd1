"""Where pictures lie in an embedding: who is near, and who is far from all."""
